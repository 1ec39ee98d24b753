"""The schedule by price as the watch uses it: rows and microseconds outside, columns inside.

In: the rows of each commit, definite answers, the present's columns at the start. Out: dates, and
the posts to ask and the lists to read now. It owns the learner of hazards; `kept` and the argument
`learnt` carry over a restart what that knows. Nothing is read from a clock or a disk.

A post is dated by its worth while all that is known of it is that it is alive. Every other date (of
the judge, of a missing place in a list, of a lost post's return) is a wish, and goes first. So it
is with lists: what is known is that the account is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vanished.archive.rows import AccountRow, PostRow, Scheduled
from vanished.model import DAY, HOUR, SECOND, Micros, State
from vanished.watch import columns as c
from vanished.watch.beliefs import Beliefs
from vanished.watch.columns import NO_DATE, Columns, Ids
from vanished.watch.learning import Learner
from vanished.watch.lists import LONGEST_S
from vanished.watch.priced import Conditions, Priced
from vanished.watch.schedule import NEVER, PENDING, Reading, Seen
from vanished.watch.topics import Topics

ORIGIN: Micros = 1_577_836_800 * SECOND  # 2020 in UTC: the columns reach from 1952 to 2088
UNPROVEN: Micros = HOUR  # until the next look, after an answer that proves nothing
HINTED: Micros = HOUR  # an overdue list that is to be read first, since a hint may have dated it
RETIRED: Micros = 30 * DAY  # what the present says of posts that only the census asks about


class ByPrice:
    """`serves`: how many posts one request of a platform answers for; 1 where it is not named.

    `words`: known terms, whose posts count as a topic each.
    """

    lists_every: Micros | None = None

    def __init__(
        self,
        serves: Mapping[str, int],
        *,
        conditions: Conditions | None = None,
        learnt: str = "",
        words: Sequence[str] = (),
        columns: Columns | None = None,
        seed: int = 0,
    ) -> None:
        self._serves = serves
        self.topics = Topics(words)
        size = self.topics.size
        kept = _arrays(learnt)
        self.beliefs = Beliefs(_learner(kept, size))
        self._read: dict[int, int] = {}  # sets of topics that the columns do not hold yet
        self._per_s: Callable[[int], float] = lambda host: 1.0
        self._arms: dict[tuple[str, int], int] = {}
        self._entered: dict[int, Micros] = {}  # dates given by `enter` that `put` will repeat
        self.priced = Priced(
            self.beliefs,
            lambda host: self._per_s(host),
            conditions=conditions,
            columns=columns,
            seed=seed,
        )
        self.priced.lists.recall(kept)

    # -- what the loop asks -----------------------------------------------------------------

    def begin(self, posts: Scheduled, per_s: Callable[[int], float], now: Micros) -> None:
        self._per_s = per_s
        self._take_up(posts)
        self.priced.rebuild(_one(now))
        self._date(posts, now)

    def take_over(
        self,
        arms: Sequence[tuple[str, int]],
        touched: Sequence[int],
        posts: Scheduled,
        per_s: Callable[[int], float],
        now: Micros,
    ) -> None:
        """Begin with columns that another watch filled, of which these are the arms by number.

        Of the rows `touched` only what the present says counts: `posts`. Who is not among these is
        in the schedule no more.
        """
        self._per_s = per_s
        for platform, host in arms:
            self._arm(platform, host)
        columns = self.priced.columns
        columns.topic[: columns.used] = 0  # topics are not kept: their words are nobody's to keep
        rows = np.array(touched, dtype=np.int64)
        self.priced.drop(rows[rows < columns.used])  # first: they may name arms that are not known
        self._take_up(posts)
        self.priced.rebuild(_one(now))
        self._date(posts, now)

    def _take_up(self, posts: Scheduled) -> None:
        if not len(posts.ids):
            return
        self.priced.add(
            posts.ids, born=_s(posts.born), last=_s(posts.last), account=posts.account,
            arm=posts.numbered(self._arm),
        )  # fmt: skip

    def _date(self, posts: Scheduled, now: Micros) -> None:
        plain = posts.plain & (posts.failures == 0)
        self.priced.wish(posts.ids[~plain], _s(posts.due[~plain]))
        self.priced.date(posts.ids[plain], _one(now))

    @property
    def arms(self) -> list[tuple[str, int]]:
        """By number: the platform of an arm, and the number of its host."""
        return list(self._arms)

    def begin_lists(self, rows: Sequence[AccountRow], hosts: Sequence[int], now: Micros) -> None:
        lists = self.priced.lists
        met = [row.track.last_alive_at or row.track.due for row in rows]
        lists.add(_ids(rows), np.array(hosts, dtype=np.int32), _s(np.array(met, dtype=np.int64)))
        for wished in (True, False):
            some = [row for row in rows if _is_wish(row, now) is wished]
            due = _s(np.array([row.track.due for row in some], dtype=np.int64))
            (lists.wish if wished else lists.put)(_ids(some), due)

    def put(self, row: int, host: int, due: Micros) -> None:
        if row < 0:
            if self.priced.lists.knows(~row):
                self.priced.lists.wish(np.array([~row]), _s(np.array([due])))
            return
        if self._entered.pop(row, None) == due or row >= self.priced.columns.used:
            return
        ids = np.array([row])
        if due >= NEVER:
            self.priced.drop(ids)
        else:
            self.priced.wish(ids, _s(np.array([due])))

    def enter(
        self, rows: Sequence[PostRow], hosts: Sequence[int], held: Container[int], now: Micros
    ) -> None:
        self._entered.clear()
        if not rows:
            return
        columns = self.priced.columns
        new = [(r, h) for r, h in zip(rows, hosts, strict=True) if not self._knows(r.id)]
        if new:
            self._meet([row for row, _ in new], [host for _, host in new])
        self.priced.proven(_ids(rows), _s(np.array([_last(row) for row in rows])))
        for post, topic in self._read.items():
            columns.topic[post] = topic
        self._read.clear()
        pending = [row for row in rows if row.track.due == PENDING]
        failing = [row for row in pending if row.track.failures]
        proven = [row for row in pending if not row.track.failures and _proven(row)]
        for row in pending:
            if not row.track.failures and not _proven(row):
                row.track.due = now + UNPROVEN  # a wish
        away = [row.id for row in (*failing, *proven) if row.id in held]
        states = columns.flags[away].copy()
        if proven:
            asked = np.array([row.track.last_alive_at for row in proven], dtype=np.int64)
            self.priced.alive(_ids(proven), _s(asked), _one(now))
        if failing:
            self.priced.failed(_ids(failing), _one(now))
        for row in (*proven, *failing):
            due = int(columns.due[row.id])
            row.track.due = now + RETIRED if due == NO_DATE else max(now, ORIGIN + due * SECOND)
            self._entered[row.id] = row.track.due
        columns.flags[away], columns.due[away] = states, NO_DATE  # their look goes on

    def enter_lists(self, readings: Sequence[Reading], now: Micros) -> None:
        lists = self.priced.lists
        for each in readings:
            if not lists.knows(each.row.id):
                lists.add(np.array([each.row.id]), each.host, np.array([_one(now)]))
        good = [each for each in readings if _succeeded(each)]
        if good:
            before = [np.nan if each.before is None else _one(each.before) for each in good]
            asked = np.array([each.row.track.last_alive_at for each in good], dtype=np.int64)
            shown = {each.row.id: np.array(each.shown, dtype=np.int64) for each in good}
            lists.read(
                _ids([each.row for each in good]), _s(asked), np.array(before),
                [each.new for each in good], shown, _one(now),
            )  # fmt: skip
        for each in readings:
            ids, track = np.array([each.row.id]), each.row.track
            if track.due != PENDING:
                lists.wish(ids, _s(np.array([track.due])))
                continue
            if track.failures:
                lists.failed(ids, _one(now))
            elif not _succeeded(each):
                lists.wish(ids, np.array([_one(now + UNPROVEN)]))
            track.due = max(now, ORIGIN + int(lists.due[each.row.id]) * SECOND)

    def learn(self, seen: Sequence[Seen], now: Micros) -> None:
        if not seen:
            return
        born, alive, at = (
            np.array([getattr(each, name) for each in seen], dtype=np.float64) / SECOND
            for name in ("born", "alive_at", "seen_at")
        )
        changed = self.beliefs.observe(
            _one(now), alive - born, at - born,
            np.array([each.account for each in seen], dtype=np.int64),
            self._topics_of(np.array([each.post for each in seen])),
            np.array([each.lost for each in seen], dtype=np.bool_),
            whole=np.array([each.whole for each in seen], dtype=np.bool_),
        )  # fmt: skip
        if len(changed):  # old posts have dates hours away: they do not wait for them
            self.priced.rerank(changed, _one(now))

    def read(self, post: int, text: str) -> None:
        """Find topics for each post once; after a restart again, as its words are read again."""
        columns = self.priced.columns
        known = post < columns.used and columns.topic[post]
        if not known and post not in self._read:
            self._read[post] = self.beliefs.sets.number(self.topics.of(text))

    def _topics_of(self, posts: Ids) -> Ids:
        topics = np.zeros(len(posts), dtype=np.int64)
        known = posts < self.priced.columns.used
        topics[known] = self.priced.columns.topic[posts[known]]
        return topics

    def take(self, now: Micros, room: Callable[[int], int], most: int) -> list[int]:
        taken: list[int] = self.priced.take(_one(now), room, most).tolist()
        return taken

    def next_due(self, now: Micros) -> Micros:
        due = self.priced.next_due()
        retry_s = self.priced.queues.retry_in_s(self._per_s)
        dates = [] if due == NO_DATE else [ORIGIN + due * SECOND]
        if np.isfinite(retry_s):
            dates.append(now + int((retry_s + 1) * SECOND))
        # A tick of the second that is under way was made: what came due since waits for the next.
        return max(min(dates), _next_second(now)) if dates else NEVER

    def waiting(self) -> list[int]:
        return self.priced.queues.waiting()

    def backlog(self, now: Micros) -> int:
        columns = self.priced.columns
        lists = self.priced.lists
        due = int(np.count_nonzero(columns.due[: columns.used] <= _one(now)))
        due += int(np.count_nonzero(lists.due[: lists.used] <= _one(now)))
        return due + self.priced.queues.length()

    def interval(self, born: Micros, now: Micros) -> None:
        return None

    # -- inside -----------------------------------------------------------------------------

    def _arm(self, platform: str, host: int) -> int:
        """The number of the kind of request that asks `host` about posts of `platform`."""
        number = self._arms.get((platform, host))
        if number is None:
            number = self._arms[platform, host] = len(self._arms)
            self.priced.arm(number, host, self._serves.get(platform, 1))
        return number

    def _knows(self, row: int) -> bool:
        columns = self.priced.columns
        return row < columns.used and bool(columns.flags[row] & c.LIVE)

    def _meet(self, rows: Sequence[PostRow], hosts: Sequence[int]) -> None:
        born = [row.post.published_at or row.post.first_seen_at for row in rows]
        last = [_last(row) for row in rows]
        arms = [self._arm(row.post.platform, host) for row, host in zip(rows, hosts, strict=True)]
        self.priced.add(
            _ids(rows), born=_s(np.array(born)), last=_s(np.array(last)),
            account=np.array([row.account_id for row in rows]), arm=np.array(arms),
        )  # fmt: skip

    # -- over a restart ---------------------------------------------------------------------

    def kept(self) -> str:
        """What was learnt, as text; no name and no address is in it."""
        arrays = {**self.beliefs.learner.kept(), **self.priced.lists.kept()}
        return json.dumps({name: np.round(array, 9).tolist() for name, array in arrays.items()})


def _arrays(text: str) -> dict[str, npt.NDArray[np.float64]]:
    found = json.loads(text) if text else {}
    return {name: np.array(values, dtype=float) for name, values in found.items()}


def _succeeded(reading: Reading) -> bool:
    last, before = reading.row.track.last_alive_at, reading.before
    return last is not None and (before is None or last > before)


def _is_wish(row: AccountRow, now: Micros) -> bool:
    """Whether the date that the present holds for a list is one that its price did not give."""
    track = row.track
    if track.last_alive_at is None or track.failures or track.state is not State.ALIVE:
        return True
    beyond = track.due > track.last_alive_at + int(LONGEST_S * SECOND) + SECOND
    return beyond or now - HINTED <= track.due <= now


def learner_of(text: str, topics: int) -> Learner:
    """A learner that knows what `ByPrice.kept` said in `text`; one that knows nothing, for ""."""
    return _learner(_arrays(text), topics)


def _learner(kept: Mapping[str, npt.NDArray[np.float64]], topics: int) -> Learner:
    return Learner.of(topics, kept) if kept else Learner(topics)


def _proven(row: PostRow) -> bool:
    """Whether the last look at it proved it alive."""
    last = row.track.last_alive_at
    return last is not None and last >= row.track.last_asked_at


def _last(row: PostRow) -> Micros:
    """When it was last proven alive; who never was counts from the moment it was met."""
    return row.track.last_alive_at or row.post.first_seen_at


def _ids(rows: Sequence[PostRow] | Sequence[AccountRow]) -> Ids:
    return np.array([row.id for row in rows], dtype=np.int64)


def _one(time: Micros) -> float:
    return (time - ORIGIN) / SECOND


def _s(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return (times - ORIGIN) / SECOND


def _next_second(now: Micros) -> Micros:
    return now - (now - ORIGIN) % SECOND + SECOND
