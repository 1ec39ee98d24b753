"""Which go-around works here: the last advice, kept in the observatory as a small file.

In: what `vanished reach advise` found, best first. Out: `reach-advice.json`, written whole or not
at all, and the proxy that `proxy = "best"` stands for. No address of a server and no secret is in
it, except where the proxy itself is the go-around: then its address, and the name of the variable
that holds its password. An advice that is too old, or in which nothing works, is
an error and never a direct connection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from vanished.archive.durable import refusals, write_atomically
from vanished.errors import ConfigError, UsageError

FILE: Final = "reach-advice.json"
VERSION: Final = 1
BEST: Final = "best"
"""What stands for the best go-around in place of a proxy's address."""
MAX_AGE_S: Final = 86400.0
ASK: Final = "run vanished reach advise"


@dataclass(frozen=True, slots=True)
class Advised:
    """One go-around as it was last tested. `proxy` is where programs can use it, "" nowhere; its
    user is `user`, its password in the variable `password_env`, if it has them.

    `bytes_s` is the rate through it, `first_page_s` the time from its client's start to a page,
    `lasted_s` how long it carried pages while it was watched.
    """

    name: str
    kind: str
    hash: str
    tested_at: str  # UTC, ISO 8601
    works: bool
    state: str
    layer: str | None = None
    mechanism: str | None = None
    says: str = ""
    first_page_s: float | None = None
    bytes_s: float | None = None
    lasted_s: float | None = None
    elsewhere: bool | None = None
    proxy: str = ""
    user: str = ""
    password_env: str = ""

    def age_s(self, now: datetime) -> float:
        """Seconds since the test."""
        return (now - datetime.fromisoformat(self.tested_at)).total_seconds()


def ranked(tested: Sequence[Advised]) -> list[Advised]:
    """The best first: what works, what programs can use, what is fast, what comes up soon."""
    return sorted(
        tested,
        key=lambda one: (
            not one.works,
            not one.proxy,
            -(one.bytes_s or 0.0),
            one.first_page_s or 1e9,
            one.name,
        ),
    )


def keep(folder: Path, tested: Sequence[Advised]) -> None:
    """Keep an advice in place of the last one. Raises StorageError."""
    held = {"version": VERSION, "go_arounds": [asdict(one) for one in ranked(tested)]}
    text = json.dumps(held, indent=1, ensure_ascii=False) + "\n"
    with refusals(f"keep {folder / FILE}"):
        write_atomically(folder / FILE, text.encode(), mode=0o600)


def kept(path: Path) -> list[Advised]:
    """The advice of a file, best first; none if there is no file. Raises UsageError."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["version"] != VERSION:
            raise ValueError
        known = {one.name for one in fields(Advised)}
        return [_advised(one, known) for one in held["go_arounds"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{path} is no advice that can be read; delete it and {ASK}.") from None


def _advised(given: dict[str, Any], known: set[str]) -> Advised:
    made = Advised(**{key: value for key, value in given.items() if key in known})
    if datetime.fromisoformat(made.tested_at).tzinfo is None or not isinstance(made.works, bool):
        raise ValueError("no advice")
    return made


def best_proxy(folder: Path, now: datetime | None = None, max_age_s: float = MAX_AGE_S) -> str:
    """The address of the best proxy, with its credentials. Raises ConfigError where there is none.

    The error is the whole point: whoever asked for a go-around must never go directly.
    """
    now = now or datetime.now(UTC)
    tested = kept(folder / FILE)
    if not tested:
        raise ConfigError(f'proxy = "{BEST}" needs an advice, and {folder} has none; {ASK}.')
    working = [one for one in tested if one.works]
    if not working:
        raise ConfigError(
            f'proxy = "{BEST}": none of the {len(tested)} go-arounds worked when they were tested;'
            f" {ASK} with others."
        )
    usable = [one for one in working if one.proxy]
    if not usable:
        raise ConfigError(
            f'proxy = "{BEST}": {working[0].name} works, but its client does not run; start it with'
            " vanished reach carry, or write its port as local in the go-arounds' file."
        )
    fresh = [one for one in usable if 0 <= one.age_s(now) <= max_age_s]
    if not fresh:
        hours = min(one.age_s(now) for one in usable) / 3600
        raise ConfigError(
            f'proxy = "{BEST}": the advice is {hours:.0f} hours old, and may be'
            f" {max_age_s / 3600:.0f} at most ([net] best_age_s); {ASK}."
        )
    return _with_credentials(fresh[0])


def _with_credentials(one: Advised) -> str:
    if not one.user and not one.password_env:
        return one.proxy
    password = ""
    if one.password_env:
        if one.password_env not in os.environ:
            raise ConfigError(
                f'proxy = "{BEST}" is {one.name}, whose password is in {one.password_env}, which'
                " is not set; set it."
            )
        password = os.environ[one.password_env]
    scheme, _, place = one.proxy.partition("://")
    return f"{scheme}://{quote(one.user, safe='')}:{quote(password, safe='')}@{place}"
