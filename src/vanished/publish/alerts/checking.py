"""`vanished alerts check` and `test`: whether channels can work, before they have to.

In: a folder. Out: for each channel where its address lies, which service that is, which rules it
serves, and in a sentence what is wrong. No part of an address is in it.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.archive.settings import Settings
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.publish.alerts.courier import Outcome
from vanished.publish.alerts.happened import basis
from vanished.publish.alerts.message import trial_message
from vanished.publish.alerts.rounds import proxy_of, send
from vanished.publish.alerts.running import need_apprise
from vanished.publish.alerts.sending import Sender
from vanished.publish.alerts.settings import AlertSettings, Channel, load
from vanished.watch.routes import proxies_of


@dataclass(frozen=True, slots=True)
class Checked:
    """One channel, or a rule that asks for what is not there; `wrong` is "" where nothing is."""

    name: str
    service: str = ""
    place: str = ""
    route: str = ""
    rules: tuple[str, ...] = ()
    operator: bool = False
    wrong: str = ""

    def facts(self) -> dict[str, object]:
        return {
            "name": self.name, "service": self.service, "address_in": self.place,
            "route": self.route, "rules": list(self.rules), "operator": self.operator,
            "wrong": self.wrong,
        }  # fmt: skip

    def text(self) -> str:
        if self.wrong:
            return f"{self.name}: {self.wrong}"
        asked = ", ".join(self.rules) or "no rule"
        operator = "; told what the doctor finds" if self.operator else ""
        return (
            f"{self.name}: {self.service}, {self.route}, address in {self.place}; serves"
            f" {asked}{operator}"
        )


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a test message."""

    channel: str
    outcome: Outcome
    service: str

    def facts(self) -> dict[str, object]:
        return {"channel": self.channel, "outcome": self.outcome, "service": self.service}

    def text(self) -> str:
        by = f" by {self.service}" if self.service else ""
        if self.outcome is Outcome.DELIVERED:
            return f"{self.channel}: delivered{by}."
        return (
            f"{self.channel}: not delivered{by} ({self.outcome}); docs/alerts.md says what to do."
        )


def check_folder(folder: Path) -> list[Checked]:
    """Every channel, then the rules that ask for what is not to be found here."""
    need_apprise()
    with Observatory.open(folder) as observatory:
        settings = load(folder, observatory.settings)
        known = set(observatory.account_ids())
        own, sealed = observatory.settings, observatory.sealed
    found = asyncio.run(_channels(folder, settings, own))
    for rule in settings.rules:
        strangers = sum(account not in known for account in rule.accounts)
        if strangers:
            wrong = f"{strangers} of its accounts are not known here; take keys from a report."
            found.append(Checked(rule.name, wrong=wrong))
        if rule.terms and sealed:
            wrong = "the words of posts are sealed on this machine, so it finds none of its terms."
            found.append(Checked(rule.name, wrong=wrong))
    return found


async def _channels(folder: Path, settings: AlertSettings, own: Settings) -> list[Checked]:
    sender = Sender()
    each = settings.channels.values()
    return await asyncio.gather(*(_channel(sender, folder, c, settings, own) for c in each))


async def _channel(
    sender: Sender, folder: Path, channel: Channel, settings: AlertSettings, own: Settings
) -> Checked:
    wrong, service = "", ""
    try:
        proxy_of(channel, proxies_of(own))
        checked = await sender.check(channel.place.address(folder))
        service = checked.service
        if checked.outcome is not Outcome.DELIVERED:
            wrong = f"Apprise does not understand the URL in {channel.place}; correct it there."
    except UsageError as error:
        wrong = str(error)
    rules = tuple(rule.name for rule in settings.rules if channel.name in rule.channels)
    return Checked(
        channel.name, service, str(channel.place), channel.route, rules, channel.operator, wrong
    )


def try_channel(folder: Path, name: str) -> Tested:
    """Send a test message. Raises UsageError for a channel that is not there."""
    need_apprise()
    clock = SystemClock()
    with Observatory.open(folder) as observatory:
        settings = load(folder, observatory.settings)
        proxies = proxies_of(observatory.settings)
        if name not in settings.channels:
            known = ", ".join(settings.channels)
            raise UsageError(f"There is no channel '{name}'; there are: {known}.")
        with observatory.past() as past:
            stands = basis(past, clock.now())
    channel = settings.channels[name]
    channel.place.address(folder)  # in a sentence, where it is missing
    text = trial_message(stands, channel.language, secrets.token_hex(5), clock.now())
    sent = asyncio.run(send(Sender(), folder, channel, text, proxies))
    return Tested(name, sent.outcome, sent.service)
