"""The volunteer's consent to measure: asked in plain words, kept with date and version.

In: a folder, a country, the highest class of risk. Out: a `Consent`, or a UsageError that says what
to do. It is a file `reach-consent.json` in the folder: the day, the country, the class, the version
and digest of the text that was read; nothing that names a person or an address. Whoever changes the
text asks again: a consent holds for the text that was read only. Nobody's answer is assumed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from vanished.archive.durable import refusals, write_atomically
from vanished.errors import UsageError
from vanished.reach.risk import Risk

FILE = "reach-consent.json"
VERSION = "reach-consent/1"
GIVEN, REFUSED, WITHDRAWN = "given", "refused", "withdrawn"
_COUNTRY = re.compile(r"[A-Z]{2}")

_TEXT = """\
Before you measure from a network in {country}

What happens. This machine contacts the targets that you name, and others that a test needs:
resolvers, a canary, a control. It asks for each several times, also in ways that an ordinary
browser would not. `vanished reach test --dry-run` lists every destination before anything is sent.

Who can see it. Your provider and whoever watches its network see whom you contact, when, how often,
and that it looks like a test. Resolvers see the names. The targets see your address. The control
sees your address and the list of targets, unless you reach it through a go-around. A collector of
reports sees your address, unless reports leave through a go-around.

What it may cost. In {country} or under your contract this may be forbidden, also where the law does
not say so plainly. You may be asked about it, cut off, fined, or worse. We cannot tell you the law,
and we cannot protect you: measuring hides nothing. Ask somebody whom you trust and who knows.

How far you go. You agree to targets up to this class:
{classes}

What is kept. Your address is taken out of every record. What is published carries the number of
your network (AS), the country and the hour, and no page's content. In a small network
that may be enough to guess who measured. What was published can be copied and not be called back.

You are free. Nothing is measured unless you agree, nothing runs in the background, and nothing is
lost if you refuse. Withdraw at any time with `vanished reach consent --withdraw`.
"""


@dataclass(frozen=True, slots=True)
class Consent:
    """What was answered. `day` is the date, ISO 8601; `risk` the highest class agreed to."""

    answer: str  # GIVEN, REFUSED or WITHDRAWN
    day: str
    country: str  # ISO 3166-1 alpha-2
    risk: str
    version: str
    text_sha256: str

    @property
    def current(self) -> bool:
        """Whether the text that was read is the one that would be shown now."""
        return self.version == VERSION and self.text_sha256 == digest()


def parse_country(given: str) -> str:
    """A country's code of two letters. Raises UsageError."""
    code = given.strip().upper()
    if not _COUNTRY.fullmatch(code):
        raise UsageError(
            f"'{given}' is no country code; write the two letters of ISO 3166, such as IR,"
            " of the country whose network you measure from."
        )
    return code


def text(country: str, risk: Risk) -> str:
    """What is to be read before agreeing."""
    classes = "\n".join(
        f"  {'yes' if one.rank <= risk.rank else ' no'}  {one.value}: {one.says}" for one in Risk
    )
    return _TEXT.format(country=country, classes=classes)


def digest() -> str:
    """SHA-256 of the text without what varies between volunteers."""
    held = _TEXT + "".join(f"{one.value}: {one.says}\n" for one in Risk)
    return hashlib.sha256(held.encode()).hexdigest()


def keep(folder: Path, answer: str, country: str, risk: Risk, day: date) -> Consent:
    """Keep an answer in `folder`, instead of what was kept before. Raises StorageError."""
    made = Consent(answer, day.isoformat(), country, risk.value, VERSION, digest())
    content = json.dumps(asdict(made), indent=1).encode() + b"\n"
    with refusals(f"keep the consent in {folder}"):
        write_atomically(folder / FILE, content, mode=0o600)
    return made


def withdraw(folder: Path, day: date) -> Consent:
    """Take back what was agreed to. Raises UsageError if nothing was."""
    held = kept(folder)
    if held is None or held.answer != GIVEN:
        raise UsageError(f"There is no consent in {folder} to withdraw.")
    return keep(folder, WITHDRAWN, held.country, Risk(held.risk), day)


def kept(folder: Path) -> Consent | None:
    """The last answer; None if nobody was asked. Raises UsageError for a damaged file."""
    file = folder / FILE
    try:
        held = json.loads(file.read_bytes())
        made = Consent(**held)
        Risk(made.risk)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError):
        raise UsageError(
            f"{file} is no consent that can be read; delete it and run vanished reach consent."
        ) from None
    return made


def required(folder: Path, risks: Iterable[Risk]) -> Consent:
    """The consent that covers targets of these classes. Raises UsageError if there is none."""
    held = kept(folder)
    asking = "run vanished reach consent --country CC and read what it says"
    if held is None:
        raise UsageError(
            f"Nobody has agreed to measure from here (no {FILE} in {folder}); {asking}."
        )
    if held.answer != GIVEN:
        raise UsageError(f"Consent was {held.answer} on {held.day}; to measure, {asking}.")
    if not held.current:
        raise UsageError(f"The text that was agreed to on {held.day} has changed since; {asking}.")
    highest = max(risks, key=lambda risk: risk.rank, default=Risk.APPS)
    if highest.rank > Risk(held.risk).rank:
        raise UsageError(
            f"Consent covers targets up to '{held.risk}', and some here are '{highest.value}';"
            f" leave them out, or agree again with --risk {highest.value}."
        )
    return held
