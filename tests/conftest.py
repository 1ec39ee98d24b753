"""What all tests share: how hypothesis draws, and which files begin first.

Drawn cases are the same in every run, so that a failure comes back when asked for. How long
drawing takes says how busy the machine is, and nothing of our code.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")

LONGEST = (
    "lab/test_month.py",
    "publish/test_desk.py",
    "publish/test_site.py",
    "cli/test_cli.py",
    "reach/test_lab_web.py",
    "lab/test_advise_command.py",
    "lab/test_canary_traps.py",
    "lab/test_canary_bar.py",
    "e2e/test_watch_atproto.py",
    "archive/test_proof_crash.py",
    "watch/test_resuming.py",
    "watch/test_kill.py",
    "archive/test_forget_journal.py",
    "watch/test_streams.py",
    "watch/test_canaries.py",
    "publish/alerts/test_rounds.py",
    "reach/test_goaround_test.py",
    "publish/alerts/test_live.py",
    "archive/verify/test_tampering.py",
    "e2e/test_watch_synapse.py",
    "archive/test_erasing.py",
    "lab/test_goarounds.py",
    "watch/test_picturing.py",
    "lab/test_network.py",
    "archive/verify/test_damage.py",
    "watch/test_lists.py",
    "judge/test_properties.py",
    "sources/test_import_snapshots.py",
    "sources/test_atproto.py",
    "e2e/test_watch_prosody.py",
    "cli/test_explain_commands.py",
    "explain/test_campaigns.py",
    "watch/test_seized.py",
    "judge/test_world.py",
    "watch/test_by_price.py",
    "e2e/test_pictures.py",
    "archive/test_journal.py",
    "watch/test_loop.py",
    "archive/test_vault.py",
    "sources/test_synapse.py",
    "e2e/test_watch_nginx.py",
    "watch/test_priced.py",
    "cli/test_plan_command.py",
    "explain/test_speed.py",
)
"""Files of tests that take long, the longest first.

A process that takes up one of them when all else is done would let the others wait for it.
"""
_RANK = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; otherwise, and within a file, as it was."""
    items.sort(key=lambda item: _RANK.get(item.path, len(_RANK)))
