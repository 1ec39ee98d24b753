"""A round: look, choose, enter, send, note; and round after round until told to stop.

In: an observatory's folder. Out: a `Round`, with one line a channel. Each round opens the folder
for reading only. Times come from a clock that is given, so that a night of quiet hours fits into a
test. The order is what makes it lose nothing: a message is in the ledger before a courier has it,
and is closed after a service took it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from vanished.archive.observatory import Observatory
from vanished.archive.settings_asking import DIRECT
from vanished.clock import Clock
from vanished.errors import DamagedError, ObservatoryError, UsageError
from vanished.model import HOUR, MINUTE, SECOND, Micros
from vanished.net.proxy import ProxyAddress
from vanished.publish.alerts.choosing import Chosen, chosen, holding
from vanished.publish.alerts.courier import Outcome
from vanished.publish.alerts.event import Event
from vanished.publish.alerts.happened import Basis, is_news
from vanished.publish.alerts.ledger import SETTLED, Ledger, Pending
from vanished.publish.alerts.looking import Looking
from vanished.publish.alerts.message import Message, message
from vanished.publish.alerts.quiet import is_quiet
from vanished.publish.alerts.sending import Sender, Sent
from vanished.publish.alerts.settings import AlertSettings, Channel
from vanished.publish.moments import iso
from vanished.watch.routes import proxies_of

FIRST_RETRY: Final[Micros] = MINUTE
LONGEST_RETRY: Final[Micros] = HOUR
SHORTEST_S: Final = 5.0
LONGEST_S: Final = 60.0
PATIENCE: Final = 5  # rounds
OVERLAP: Final[Micros] = 25 * HOUR
"""What was judged so lately is weighed again at every round; older events are, while a channel
waits."""
DRY: Final = "dry-run"  # number of a message that is not sent


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one channel in a round. `waits`: why what is to be told is not sent now."""

    channel: str
    events: int
    number: str = ""
    outcome: Outcome | None = None
    tries: int = 0
    next_at: Micros | None = None
    waits: str = ""
    message: Message | None = None  # of a dry run

    def facts(self) -> dict[str, object]:
        shown = self.message
        return {
            "channel": self.channel, "events": self.events, "message": self.number,
            "outcome": self.outcome, "tries": self.tries, "next_at": iso(self.next_at),
            "waits": self.waits,
            **({} if shown is None else {"title": shown.title, "body": shown.body}),
        }  # fmt: skip

    def text(self) -> str:
        waits = f" (waits: {self.waits})" if self.waits else ""
        if self.message is not None:
            return f"To {self.channel}{waits}:\n{self.message.title}\n\n{self.message.body}\n"
        if self.outcome is None:
            return f"{self.channel}: {self.events or 'no'} events to tell{waits}"
        again = "" if self.next_at is None else f"; again from {iso(self.next_at)} on"
        return (
            f"{self.channel}: message {self.number} about {self.events} events: {self.outcome}"
            f" (try {self.tries}{again})"
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One round."""

    told: Sequence[Told]

    @property
    def failed(self) -> bool:
        """Whether a channel was to be told something and could not be."""
        return any(each.outcome not in (None, Outcome.DELIVERED) for each in self.told)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one round works on."""

    settings: AlertSettings
    proxies: Mapping[str, str]
    events: Sequence[Event]
    basis: Basis
    begun: Micros
    now: Micros


class Rounds:
    """Rounds over one folder. `dry`: enter nothing, tell nobody, and say what would be told."""

    def __init__(
        self,
        folder: Path,
        settings: AlertSettings,
        clock: Clock,
        ledger: Ledger,
        *,
        dry: bool = False,
        sender: Sender | None = None,
    ) -> None:
        self._folder, self._settings, self._dry = folder, settings, dry
        self._clock, self._ledger = clock, ledger
        self._sender = sender or Sender()
        self._looking = Looking(folder, ledger)

    async def run(self, stop: asyncio.Event, tell: Callable[[Round], None]) -> None:
        """Round after round until `stop` is set; `tell` hears of each.

        A past that cannot be read once, as while it is being rewritten, is read again in the next
        round; after `PATIENCE` rounds the ObservatoryError is raised.
        """
        every_s = min(channel.every_s for channel in self._settings.channels.values())
        failures = 0
        while not stop.is_set():
            try:
                tell(await self.once())
                failures = 0
            except ObservatoryError:
                failures += 1
                if failures >= PATIENCE:
                    raise
            wait_s = min(LONGEST_S, max(SHORTEST_S, every_s))
            await self._clock.wait(stop, self._clock.now() + int(wait_s * SECOND), busy=False)

    async def once(self) -> Round:
        """One round. Raises ConfigError for a proxy that is none, ObservatoryError where the folder
        cannot be read."""
        now, settings = self._clock.now(), self._settings
        begun = self._ledger.begun(now)
        with Observatory.open(self._folder) as observatory:
            pending = {name: self._ledger.pending(name) for name in settings.channels}
            since = max(begun, min(self._ledger.settled(begun) - HOUR, now - OVERLAP))
            try:
                events, stands = self._looking.events(
                    observatory, settings, since, now, again=any(pending.values())
                )
            except duckdb.Error as error:
                raise DamagedError(
                    f"the past cannot be read ({type(error).__name__}); run vanished doctor."
                ) from error
            found = _Found(settings, proxies_of(observatory.settings), events, stands, begun, now)
        told, tasks = [], []
        waiting = set()
        for channel in settings.channels.values():
            entered = pending[channel.name]
            wanted = self._wanted(channel, entered, found)
            waits = self._waits(channel, entered, now)
            if self._dry and wanted:
                text = message(wanted, stands, channel.language, DRY, now)
                told.append(Told(channel.name, len(wanted), waits=waits, message=text))
            elif waits or not (wanted or entered):
                waiting |= {each.event.kind for each in wanted}
                told.append(Told(channel.name, len(wanted), waits=waits if wanted else ""))
            else:
                entered = entered or self._ledger.enter(
                    channel.name, [each.event for each in wanted], now
                )
                tasks.append(self._tell(channel, entered, wanted, found))
        self._looking.settle(waiting)
        done = Round([*told, *await asyncio.gather(*tasks)])
        # Behind a message that was under way there may be more.
        if not (done.failed or any(pending.values()) or any(each.waits for each in told)):
            self._ledger.keep_word(SETTLED, str(now))
        return done

    def _wanted(self, channel: Channel, entered: Pending | None, found: _Found) -> list[Chosen]:
        """What the message under way is about as far as it still holds, or a new one would be."""
        own = [rule for rule in found.settings.rules if channel.name in rule.channels]
        if entered is not None:
            return holding(found.events, entered.events, own)
        told = self._ledger.told(channel.name)
        return chosen(
            channel, own, found.events, told, lambda event: is_news(event, found.begun, found.now)
        )

    def _waits(self, channel: Channel, entered: Pending | None, now: Micros) -> str:
        """Why the channel is not told anything at this moment; "" if it may be."""
        if is_quiet(now, channel.quiet, channel.zone):
            return "quiet hours"
        if entered is not None:
            return "" if now >= entered.next_at else f"tried again from {iso(entered.next_at)} on"
        last = self._ledger.last_made(channel.name)
        if last is not None and now - last < channel.every_s * SECOND:
            return f"one message in {channel.every_s:g} s"
        return ""

    async def _tell(
        self, channel: Channel, entered: Pending, wanted: Sequence[Chosen], found: _Found
    ) -> Told:
        """Send one message and note what became of it."""
        if not wanted:  # all of it was judged otherwise meanwhile, or was forgotten
            self._ledger.taken(entered.number, found.now)
            return Told(channel.name, 0, entered.number)
        text = message(wanted, found.basis, channel.language, entered.number, found.now)
        sent = await send(self._sender, self._folder, channel, text, found.proxies)
        tries = entered.tries + 1
        if sent.outcome is Outcome.DELIVERED:
            self._ledger.taken(entered.number, found.now)
            return Told(channel.name, len(wanted), entered.number, sent.outcome, tries)
        next_at = found.now + min(LONGEST_RETRY, FIRST_RETRY << min(entered.tries, 10))
        self._ledger.failed(entered.number, next_at, sent.outcome)
        return Told(channel.name, len(wanted), entered.number, sent.outcome, tries, next_at)


async def send(
    sender: Sender, folder: Path, channel: Channel, text: Message, proxies: Mapping[str, str]
) -> Sent:
    """Send one message the way that the channel's settings say, or say why not."""
    try:
        address = channel.place.address(folder)
    except UsageError:
        return Sent(Outcome.MISSING)
    return await sender.send(text, address, proxy_of(channel, proxies))


def proxy_of(channel: Channel, proxies: Mapping[str, str]) -> ProxyAddress | None:
    """The proxy that the channel is to go through. Raises ConfigError for one that is none."""
    if channel.route == DIRECT:
        return None
    return ProxyAddress.parse(proxies[channel.route], channel.route)
