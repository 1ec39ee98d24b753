"""A release: all that one publication may tell, read from the past through the gate.

In: an observatory's folder, the release's name, a window. Out: a `Release`: rows in their crowds,
numbers with denominators, and for the operator what was withheld, and why. The present is asked
only for names that must not leave. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vanished.archive.columns import GAP
from vanished.archive.observatory import Observatory
from vanished.archive.pseudonyms import for_release
from vanished.archive.rulings import rulings
from vanished.archive.settings_publish import PublishSettings
from vanished.explain.fate import Fate
from vanished.explain.window import Window, known_at
from vanished.model import DAY, Cause, Micros, State
from vanished.publish import batches, crowds, gate, numbers, scrub
from vanished.publish.batches import Told
from vanished.publish.gate import Decided, Gate, Item, Passed, Why, Withheld, down, up
from vanished.publish.known_names import KnownNames
from vanished.publish.numbers import ALL, NEVER, OTHERS, Counted
from vanished.publish.past import Past, past_of
from vanished.publish.release_name import check_name

if TYPE_CHECKING:
    import pyarrow as pa

METHODS: Final = (gate.METHOD, crowds.METHOD, numbers.METHOD, scrub.METHOD)
_STATES: Final = {one.value: one for one in State}
BATCH: Final = 10_000  # posts that are objects at once, beside what passed


@dataclass(frozen=True, slots=True)
class Release:
    """What may be told, and for the operator what may not.

    `numbers`, `notices` and `coverage` are rows by column; `until` is the day up to which
    something was known, the last there is; `withheld` is not for publication.
    """

    name: str
    observatory: str
    rules: PublishSettings
    rows: tuple[Passed, ...]  # in the order of their pseudonyms, which tells nothing
    numbers: tuple[dict[str, Any], ...]
    notices: tuple[dict[str, Any], ...]
    coverage: tuple[dict[str, Any], ...]
    withheld: tuple[Withheld, ...]
    until: Micros | None
    sealed: bool
    captured: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of rows whose captures may leave: pseudonym to the observatory's keys of post and account.
    For whoever reads the captures; not for publication."""

    @property
    def with_words(self) -> tuple[Passed, ...]:
        """Those whose words may leave."""
        return tuple(row for row in self.rows if row.text is not None)

    def why(self) -> dict[str, int]:
        """How many posts stay, by reason."""
        found = Counter(one.why.value for one in self.withheld)
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def why_no_words(self) -> dict[str, int]:
        """How many posts leave without words, by reason."""
        found = Counter(row.no_words.value for row in self.rows if row.no_words)
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def grounds(self) -> dict[str, int]:
        """How many posts leave with words, by the ground of the rule that lets them."""
        return dict(sorted(Counter(row.ground for row in self.with_words).items()))

    def widths(self) -> dict[int, int]:
        """How many rows have their times rounded to so many seconds; 0: they have none."""
        return dict(sorted(Counter(row.rounded // 1_000_000 for row in self.rows).items()))


def read_release(folder: Path, name: str, window: Window, told: Told | None = None) -> Release:
    """What the release `name` of the observatory in `folder` may tell of `window`.

    With `told`, which may be empty, only what was lost is told, and what was told before stays as
    it was told while that is true: see `batches`.

    Raises UsageError for a name that is none, ObservatoryError without the pseudonym key.
    """
    check_name(name)
    decided = Decided.of(rulings(folder))
    with Observatory.open(folder) as observatory:
        rules = observatory.settings.publish
        naming = for_release(observatory.naming, name)
        ids = observatory.post_identities() if rules.words else ()
        names = KnownNames(observatory.account_identities(), ids)
    with past_of(folder, window) as past:
        lost = _lost_accounts(past.accounts())
        left = {} if told is None else told.left
        door = Gate(rules, naming, decided, lost, names, past.sealed, left)
        today = past.posts_today()
        posts = today if window.until is None else known_at(today, window.until)
        return _released(name, past, posts, _through(posts, today, door), door, told)


def _released(
    name: str,
    past: Past,
    posts: pa.Table,
    items: Sequence[Passed | Withheld],
    door: Gate,
    told: Told | None,
) -> Release:
    fates = [int(item.fate) for item in items]
    counted = _counted(posts, fates)
    of = counted.account, counted.platform, door.rules.k
    if told is None:
        rows = crowds.crowded(items, *of).rows
    else:
        goes_on = batches.continued(items, *of, told)
        rows, waits = goes_on.rows, goes_on.waits
        counted = replace(
            counted,
            fate=np.where(waits, Fate.SURVIVED, counted.fate),
            gone_by=np.where(waits, NEVER, counted.gone_by),
        )
    stay = [
        one if isinstance(one, Withheld) else Withheld(key, Fate(code), Why.FEW)
        for one, row, key, code in zip(items, rows, posts["post"].to_pylist(), fates, strict=True)
        if row is None and (told is None or batches.lost(one))
    ]
    outcomes = numbers.outcomes(counted, door.rules.k)
    keys = zip(posts["post"].to_pylist(), posts["account"].to_pylist(), strict=True)
    captured = {
        row.post: pair for row, pair in zip(rows, keys, strict=True) if row and row.captures
    }
    printed = sorted({row["platform"] for row in outcomes} - {ALL, OTHERS})
    shown = posts["notice"].to_pylist()
    words = {text: door.text(text) for text in set(shown)}
    return Release(
        name=name,
        observatory=past.observatory,
        rules=door.rules,
        rows=tuple(sorted((row for row in rows if row), key=lambda row: row.post)),
        numbers=tuple(outcomes + numbers.weeks(counted, door.rules.k) if outcomes else []),
        notices=tuple(numbers.notices(counted, [words[n] for n in shown], printed, door.rules.k)),
        coverage=(*_known(posts), *_coverage(past.coverage(), printed, door.rounded))
        if outcomes
        else (),
        withheld=tuple(stay),
        until=_known_until(posts),
        sealed=past.sealed,
        captured=captured,
    )


def items_of(posts: pa.Table) -> Iterable[Item]:
    """The rows of a table of posts (`archive.arrow.POSTS`) as the gate takes them."""
    names = [name for name in Item.__dataclass_fields__ if name in posts.column_names]
    state, causes = names.index("state"), names.index("causes")
    for batch in posts.select(names).to_batches(BATCH):
        columns: list[list[Any]] = [column.to_pylist() for column in batch.columns]
        columns[state] = [_STATES[name] for name in columns[state]]
        columns[causes] = [_causes(joined) for joined in columns[causes]]
        for row in zip(*columns, strict=True):
            yield Item(**dict(zip(names, row, strict=True)))


@cache
def _causes(joined: str) -> frozenset[Cause]:
    return frozenset(Cause(word) for word in joined.split(",") if word)


def _through(posts: pa.Table, today: pa.Table, door: Gate) -> list[Passed | Withheld]:
    """What the gate says to each post of a window, which is row by row one of `today`.

    What must stay today stays, also in a release of how things stood before.
    """
    if posts is today:
        return [door.passed(item) for item in items_of(posts)]
    found: list[Passed | Withheld] = []
    for then, now in zip(items_of(posts), items_of(today), strict=True):
        stays = door.passed(now)
        if isinstance(stays, Withheld):
            stays = Withheld(stays.post, door.reviewed(then).fate, stays.why)
        found.append(stays if isinstance(stays, Withheld) else door.passed(then))
    return found


def _counted(posts: pa.Table, fates: Sequence[int]) -> Counted:
    platforms = posts["platform"].combine_chunks().dictionary_encode()
    accounts = posts["account"].combine_chunks().dictionary_encode()
    return Counted(
        platforms=platforms.dictionary.to_pylist(),
        platform=_ints(platforms.indices),
        fate=np.array(fates, np.int64),
        account=_ints(accounts.indices),
        met=_ints(posts["first_seen_at"]),
        gone_by=_ints(posts["gone_by"], NEVER),
        looks=_ints(posts["looks"]),
        failed=_ints(posts["failed"]),
    )


def _ints(column: Any, none: int | None = None) -> numbers.Ints:
    """A column, `none` where it is null; ValueError for a null without `none`.

    By its bytes: `to_numpy` and a scalar of Arrow load pandas where that is installed.
    """
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    held = whole.cast(pa.int64())
    if not len(held):
        return np.zeros(0, np.int64)
    found = np.frombuffer(held.buffers()[1], np.int64, len(held), held.offset * 8)
    if not held.null_count:
        return found
    if none is None:
        raise ValueError("a column that is counted has no nulls")
    return np.where(_ints(held.is_null()).astype(bool), none, found)


def _lost_accounts(accounts: pa.Table) -> dict[str, frozenset[Cause]]:
    """The causes that are open for each account that has a verdict."""
    columns = (accounts[name].to_pylist() for name in ("account", "causes"))
    return {
        key: frozenset(Cause(word) for word in causes.split(","))
        for key, causes in zip(*columns, strict=True)
        if causes
    }


def _coverage(
    coverage: pa.Table, printed: Sequence[str], width: Micros
) -> Iterable[dict[str, Any]]:
    """When somebody was looking, and when not, by platform: no subject, no vantage, no reason.

    Gaps are rounded outward, the rest inward: nothing is claimed that was not covered.
    """
    found = set()
    for row in coverage.to_pylist():
        platform = ALL if row["subject"] == "watch" else row["subject"].split(" from ")[0]
        if platform != ALL and (" from " not in row["subject"] or platform not in printed):
            continue
        gap = row["what"] == GAP
        since, until = (down, up) if gap else (up, down)
        begin, end = since(row["since"], width), until(row["until"], width)
        if begin is not None and end is not None and begin < end:
            found.add((platform, begin, end, row["what"]))
    for platform, begin, end, what in sorted(found):
        yield {"platform": platform, "since": begin, "until": end, "what": what}


def _known(posts: pa.Table) -> Iterable[dict[str, Any]]:
    """The days within which all that is known of these posts lies."""
    import pyarrow.compute as pc

    first, last = pc.min(posts["first_seen_at"]).as_py(), _last(posts)
    if first is not None and last is not None:
        since, until = first // DAY * DAY, (last // DAY + 1) * DAY
        yield {"platform": ALL, "since": since, "until": until, "what": "known"}


def _known_until(posts: pa.Table) -> Micros | None:
    """The day of the last thing that was known of any of these posts."""
    last = _last(posts)
    return None if last is None else last // DAY * DAY


def _last(posts: pa.Table) -> Micros | None:
    import pyarrow.compute as pc

    last = [pc.max(posts[name]).as_py() for name in ("first_seen_at", "alive_until", "gone_by")]
    return max((t for t in last if t is not None), default=None)
