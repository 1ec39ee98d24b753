"""What all tests share: how hypothesis draws.

Drawn cases are the same in every run, so that a failure comes back when asked for. How long
drawing takes says how busy the machine is, and nothing of our code.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")
