"""What the doctor says of canaries, routes and logins: for the operator, and for nobody else.

In: an observatory and the time. Out: findings, and remarks on sources without canaries.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from vanished.archive.observatory import Observatory
from vanished.clock import span
from vanished.errors import VanishedError
from vanished.judge import Standing
from vanished.model import SECOND, Micros, at
from vanished.net.login import SERVICE, Login
from vanished.sources.registry import canary, source
from vanished.watch.canaries import canaries_of
from vanished.watch.finding import Finding
from vanished.watch.trusting import Trusting

REFUSED_IN_A_ROW = 3
_WANTS_LOGIN = ("login_wall", "forbidden")


def troubles(observatory: Observatory) -> Iterator[Finding]:
    """Canaries that are wrong, silent or no addresses; logins that are refused."""
    settings = observatory.settings
    rows = observatory.account_rows()
    looked = max((row.track.last_asked_at for row in rows), default=0)
    try:
        known = Trusting(int(settings.judge.fresh_s * SECOND), observatory.routes())
    except (duckdb.Error, VanishedError):
        return  # told elsewhere
    for platform in sorted({row.account.platform for row in rows}):
        try:
            asked = source(platform, observatory.naming, settings)
            canaries_of(asked, settings.asked(platform).canaries)
        except VanishedError as error:
            if "canaries" in str(error):
                yield Finding(str(error).rstrip("."), f"source {platform}", "correct its address")
            continue
        if settings.asked(platform).canaries.alive:
            for vantage, standing in known.trust(platform).vantages.items():
                where = f"{platform} from {vantage}"
                yield from _way(standing, where, looked, observatory)
        login = getattr(asked, "login", None)
        if isinstance(login, Login) and login.used:
            yield from _login(observatory, platform, login)


def _way(
    standing: Standing, where: str, looked: Micros, observatory: Observatory
) -> Iterator[Finding]:
    if not standing.guarded or standing.guarded[-1].until is not None:
        return
    if standing.in_doubt:
        since = at(standing.doubted[-1].since).isoformat(timespec="seconds")
        why = next(
            (row.why for row in reversed(observatory.routes()) if row.subject == where and row.why),
            "a canary answered wrongly",
        )
        yield Finding(
            f"{why}; what was seen this way since {since} is unknown",
            where,
            "look at that canary yourself: if its fate has changed, name another one in the"
            " settings; if not, the platform or the network answers falsely on this route",
        )
        return
    settings = observatory.settings
    patience = int(max(settings.judge.fresh_s, 3 * settings.canaries.every_s) * SECOND)
    begun = standing.right_at or standing.guarded[-1].since
    if looked - begun > patience:
        yield Finding(
            f"its canaries have given no right answer for {span((looked - begun) / SECOND)}",
            where,
            "run vanished canaries to see what they answer; until one round is right, no loss that"
            " is seen this way is believed",
        )


def _login(observatory: Observatory, platform: str, login: Login) -> Iterator[Finding]:
    """Whether the last looks were all refused, as they are where a login has expired."""
    query = """
        select kind, fault from observations o
        left join posts p on p.key = o.subject left join accounts a on a.key = o.subject
        where coalesce(p.platform, a.platform) = ? and via <> 'import'
        order by last_asked_at desc limit ?"""
    try:
        with observatory.past() as con:
            found = con.execute(query, [platform, REFUSED_IN_A_ROW]).fetchall()
    except (duckdb.Error, VanishedError):
        return
    if len(found) < REFUSED_IN_A_ROW or any(fault not in _WANTS_LOGIN for _, fault in found):
        return
    yield Finding(
        f"the last {len(found)} looks were refused, as with a login that has expired",
        f"login {platform}",
        f"put a working secret into {login.variable}, in the environment or with: keyring set"
        f" {SERVICE} {login.variable}; until then its posts are unknown, not lost",
    )


def remarks(observatory: Observatory) -> Iterator[Finding]:
    """Sources that nothing vouches for: they work, and a false answer is believed more easily."""
    platforms = {row.account.platform for row in observatory.account_rows()}
    for platform in sorted(platforms):
        if not observatory.settings.asked(platform).canaries.alive:
            yield Finding(
                "it is unguarded: it has no canaries to show when it calls living posts gone",
                f"source {platform}",
                f"name posts whose fate you know under [sources.{platform}] canaries, such as"
                f" {canary(platform)}",
                remark=True,
            )
