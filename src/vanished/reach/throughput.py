"""How fast a page comes, over some seconds.

In: an address, what is asked. Out: bytes of the body per second from the request on, None where
too little came. The request is no request of the measurement: it is for a large file, and its body
is not kept.
"""

from __future__ import annotations

from dataclasses import replace

from vanished.reach.run import Run
from vanished.reach.steps import raw
from vanished.reach.ways import Asked, way

MOST_BYTES = 4 << 20
LEAST_BYTES = 1 << 13
"""A rate over less says nothing of the way, unless it is all that came in the whole time."""
PATIENT = 0.9


async def rate(run: Run, address: str, asked: Asked, seconds: float) -> float | None:
    """Bytes per second at which the page comes, watched for at most `seconds`."""
    own = Run(run.door, replace(run.limits, http_s=seconds, body_bytes=MOST_BYTES))
    tried = await way(own, address, asked)
    step = tried.exchange
    if step is None or step.response is None or step.t is None or step.t0 is None:
        return None
    held = len(raw(step.response.body))
    took = step.t - step.t0
    if took <= 0 or not held or (held < LEAST_BYTES and took < PATIENT * seconds):
        return None
    return held / took
