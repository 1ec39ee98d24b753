"""`vanished alerts run`: rounds over a folder until Ctrl-C.

In: a folder and what was asked for. Out: rounds, each told as it ends, and whether the last one
failed anybody. Needs the extra `publish`, but for a dry run.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vanished.archive.folder import READABLE
from vanished.archive.observatory import Observatory
from vanished.clock import Clock, SystemClock
from vanished.errors import UsageError
from vanished.model import Micros
from vanished.publish.alerts.event import Kind
from vanished.publish.alerts.ledger import SETTLED, Ledger
from vanished.publish.alerts.rounds import Round, Rounds
from vanished.publish.alerts.sending import Sender
from vanished.publish.alerts.settings import load
from vanished.publish.past import need_extra

MISSING: Final = (
    "alerts are sent by apprise, which the core install has not; add it with:"
    " pip install 'vanished[publish]'."
)


async def run_folder(
    folder: Path,
    tell: Callable[[Round], None],
    *,
    once: bool,
    dry: bool,
    since: Micros | None,
    clock: Clock | None = None,
    sender: Sender | None = None,
) -> bool:
    """Rounds over `folder`; whether the last one failed a channel. Raises UsageError for settings
    that cannot be followed, before anything is sent."""
    with Observatory.open(folder) as observatory:
        settings = load(folder, observatory.settings)
    if (folder / READABLE).exists() and not dry:
        raise UsageError(
            f"{folder} is a readable copy; alerts are sent from the observatory itself, or people"
            " are told twice."
        )
    if settings.tells(Kind.CAMPAIGN):
        need_extra()
    if not dry:
        need_apprise()
    with Ledger.passing(folder) if dry else Ledger.open(folder) as ledger:
        if since is not None:
            ledger.keep_word("begun_at", str(since))
            ledger.keep_word(SETTLED, str(since))
        rounds = Rounds(folder, settings, clock or SystemClock(), ledger, dry=dry, sender=sender)
        if once or dry:
            done = await rounds.once()
            tell(done)
            return done.failed
        return await _until_stopped(rounds, tell)


async def _until_stopped(rounds: Rounds, tell: Callable[[Round], None]) -> bool:
    stop, last = asyncio.Event(), Round(())

    def heard(done: Round) -> None:
        nonlocal last
        last = done
        tell(done)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await rounds.run(stop, heard)
    return last.failed


def need_apprise() -> None:
    """Raises UsageError where Apprise is not installed."""
    if importlib.util.find_spec("apprise") is None:
        raise UsageError(MISSING)
