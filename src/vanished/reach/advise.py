"""Which go-arounds work here now, ranked, with the evidence.

In: go-arounds, and a test of them. Out: `Advised`s, for people and for `proxy = "best"`, and the
records. What others saw of the same go-arounds, in an advice from another network, tells a
server that is down from one that is blocked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from vanished.archive.advice import Advised, kept
from vanished.errors import UsageError
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_client import LOCAL, NoWayError, accepts
from vanished.reach.goaround_plans import carrying
from vanished.reach.goaround_settings import GoAroundSettings
from vanished.reach.goaround_test import AroundSeen, GoAroundTest
from vanished.reach.through import fetch

OTHERS_AGE_S = 6 * 3600.0
"""How old another network's advice may be: servers come and go."""


@dataclass(frozen=True, slots=True)
class OtherAdvice:
    """An advice that was made with the same go-arounds in another network."""

    path: Path
    now: datetime

    async def works(self, found: GoAround) -> bool | None:
        """Whether it worked there lately; None if it was not tested."""
        for one in kept(self.path):
            if one.hash == found.hash and 0 <= one.age_s(self.now) <= OTHERS_AGE_S:
                return one.works
        return None


async def advised(
    listed: Sequence[GoAround], test: GoAroundTest
) -> AsyncIterator[tuple[Advised, AroundSeen | None]]:
    """Test all, one after the other; what cannot be tested for want of a program is said, too."""
    for found in listed:
        try:
            seen = await test.measure(found)
        except UsageError as error:
            yield _untested(found, str(error)), None
            continue
        yield await _advised(seen, test.settings), seen


def _untested(found: GoAround, why: str) -> Advised:
    return Advised(
        name=found.name, kind=found.label, hash=found.hash, tested_at=_now(), works=False,
        state="insufficient", says=why,
    )  # fmt: skip


async def _advised(seen: AroundSeen, settings: GoAroundSettings) -> Advised:
    found, said, stages = seen.go_around, seen.verdict, seen.seen
    works = stages.traffic is True and not stages.ended
    made = Advised(
        name=found.name, kind=found.label, hash=found.hash, tested_at=_now(), works=works,
        state=said.state.value, layer=said.layer, mechanism=said.mechanism, says=said.says,
        first_page_s=stages.first_page_s, bytes_s=stages.bytes_s, lasted_s=stages.lasted_s,
        elsewhere=stages.elsewhere,
    )  # fmt: skip
    return await usable(made, found, settings) if works else made


async def usable(made: Advised, found: GoAround, settings: GoAroundSettings) -> Advised:
    """`made` with the proxy by which programs can use the go-around, if there is one that works.

    A proxy whose password stands in the file itself is none: it would have to be kept.
    """
    if found.kind in ("http_proxy", "socks_proxy"):
        if found.text("password") and not found.password_env:
            return made
        scheme = "http" if found.kind == "http_proxy" else "socks5h"
        host = f"[{found.server}]" if ":" in found.server else found.server
        return replace(
            made, proxy=f"{scheme}://{host}:{found.port}", user=found.text("user"),
            password_env=found.password_env,
        )  # fmt: skip
    if not found.local or not found.sort.proxies or not await accepts(found.local):
        return made
    proxy = f"socks5h://{LOCAL}:{found.local}"
    came = await fetch(
        proxy, settings.page, limit_s=settings.page_s, authorities=settings.web.authorities
    )
    return made if came.failure else replace(made, proxy=proxy)


async def carry(
    found: GoAround,
    settings: GoAroundSettings,
    note: Callable[[Advised], None],
    *,
    port: int,
    every_s: float,
    rounds: int = 0,
) -> None:
    """Run the client of a go-around and look after it; `note` gets every look at it.

    It ends after `rounds` looks (0: never), when a page fails twice in a row, or when it is
    cancelled; the last note then says that it carries no more. Raises UsageError.
    """
    base = Advised(found.name, found.label, found.hash, _now(), works=False, state="insufficient")
    limit_s = settings.tor_s if found.kind == "tor" else settings.client_s
    looks, failed = 0, 0
    try:
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(carrying(found, limit_s, port))
            while failed < 2 and (not rounds or looks < rounds):
                if looks:
                    await asyncio.sleep(every_s)
                came = await fetch(
                    own.proxy, settings.page, limit_s=settings.page_s,
                    authorities=settings.web.authorities,
                )  # fmt: skip
                looks, failed = looks + 1, failed + 1 if came.failure else 0
                if came.failure is None:
                    made = replace(
                        base, works=True, state="ok", tested_at=_now(), bytes_s=came.bytes_s,
                        says="A page came through the go-around.",
                    )  # fmt: skip
                    local = own.proxy.startswith(f"socks5h://{LOCAL}:")
                    note(replace(made, proxy=own.proxy) if local else made)
    except NoWayError:
        failed = 2
    finally:
        note(replace(base, tested_at=_now(), says="Its client was ended."))
    if failed >= 2:
        raise UsageError(f"'{found.name}' carries no page any more; run vanished reach advise.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
