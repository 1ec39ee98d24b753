"""The observer's own logins on a platform: where their secrets are, and whether they still work.

In: the name of an environment variable. Out: its secret, from the environment or else from the
system's keyring (service "vanished", the variable's name as the user), read anew each time and
kept nowhere. A platform that refuses a login turns looks into failures, never into losses: the
watch stops asking it, says so to the operator, and tries one look now and then. One account a
platform unless the settings ask for more; several are used one after the other, never at once.
A platform that shows things to strangers, too, is refused no login while there is no secret.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vanished.errors import ConfigError
from vanished.model import HOUR, Micros

SERVICE = "vanished"
PROBE: Micros = HOUR  # a refused login is tried again this often
WALLS = 3  # so many login walls in a row, with no other answer, are a refusal


def secret(variable: str) -> str:
    """What `variable` holds in the environment, else in the system's keyring; "" if neither."""
    return os.environ.get(variable, "").strip() or _from_keyring(variable).strip()


def _from_keyring(variable: str) -> str:
    """A keyring that is not installed, locked or broken is as good as an empty one."""
    try:
        keyring = importlib.import_module("keyring")
        return str(keyring.get_password(SERVICE, variable) or "")
    except Exception:  # backends raise what they like
        return ""


def variable_of(platform: str, given: object, key: str, example: str) -> str:
    """The variable that the setting `key` of a source names. Raises ConfigError."""
    name = str(given)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        what = key.removesuffix("_env")
        raise ConfigError(
            f"[sources.{platform}] {key} has to be the name of an environment variable, such"
            f" as {example}; the {what} itself belongs in that variable."
        )
    return name


@dataclass(slots=True)
class Session:
    """One account of the observer. `refused` is a digest of the secret that was refused."""

    variable: str
    refused: str = ""
    refused_at: Micros = 0
    words: str = ""

    @property
    def secret(self) -> str:
        return secret(self.variable)

    @property
    def healthy(self) -> bool:
        """Not refused, or changed since: a person may have put a new secret into the keyring."""
        return self.refused == "" or self.refused != _digest(self.secret)


def _digest(held: str) -> str:
    return hashlib.sha256(held.encode("utf-8", "surrogateescape")).hexdigest()


class Login:
    """The sessions of one platform, in the order in which they are used."""

    def __init__(self, variable: str, most: int = 1, *, needed: bool = True) -> None:
        """`most` accounts: the variables NAME, NAME_2, NAME_3 and so on.

        `needed`: without a login the platform shows nothing at all.
        """
        self.needed = needed
        names = [variable, *(f"{variable}_{n}" for n in range(2, most + 1))]
        self.sessions = [Session(name) for name in names]
        self._walls = 0
        self._probe_at: Micros = 0

    @property
    def session(self) -> Session:
        """The one to use: the first healthy one that has a secret, else the first."""
        usable = [each for each in self.sessions if each.healthy]
        return next((each for each in usable if each.secret), (usable or self.sessions)[0])

    @property
    def secret(self) -> str:
        return self.session.secret

    @property
    def used(self) -> bool:
        """Whether what is asked depends on a login."""
        return self.needed or bool(self.secret)

    @property
    def variable(self) -> str:
        """Where the secret to use belongs; for sentences."""
        return self.session.variable

    def refused(self, held: str, at: Micros, words: str) -> None:
        """The platform did not accept the secret `held`; its source calls this.

        Looks that were under way with the same secret may say so after the next one is in use.
        """
        session = next((each for each in self.sessions if each.secret == held), None)
        if session is None:
            return  # replaced meanwhile
        session.refused, session.refused_at, session.words = _digest(held), at, words[:200]
        self._probe_at = at + PROBE
        self._walls = 0

    def walled(self, at: Micros, words: str) -> None:
        """An answer was a login wall, which a single odd answer may be as well."""
        if not self.used:
            return
        self._walls += 1
        if self._walls >= WALLS:
            self.refused(self.secret, at, words or "login walls in place of answers")

    def worked(self) -> None:
        """The platform answered as to somebody whom it lets in."""
        self._walls = 0
        session = self.session
        session.refused, session.words = "", ""

    @property
    def paused(self) -> bool:
        """Whether no session is left that could work."""
        return not any(each.healthy for each in self.sessions)

    @property
    def words(self) -> str:
        """Why it is paused."""
        return next((each.words for each in self.sessions if each.words), "")

    def ready_at(self, now: Micros) -> Micros:
        """When the platform may be asked again: `now` unless paused."""
        return max(now, self._probe_at) if self.paused else now

    def probing(self, now: Micros) -> None:
        """A look starts though the login was refused: no other one before the next probe."""
        if self.paused:
            self._probe_at = now + PROBE


def login_of(
    platform: str,
    settings: Mapping[str, object],
    key: str,
    example: str,
    *,
    needed: bool = True,
) -> Login:
    """The login that the table of a source names: its variable at `key`, else `example`, and how
    many accounts at `logins`. Raises ConfigError for what cannot be a variable's name.
    """
    variable = variable_of(platform, settings.get(key, example), key, example)
    most = settings.get("logins", 1)
    return Login(variable, most if isinstance(most, int) else 1, needed=needed)
