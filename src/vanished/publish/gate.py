"""The gate: every post that leaves an observatory passes here, whoever it leaves for.

In: a post as the past has it (`Item`), the rules of [publish], what people decided, the release's
names. Out: what may leave of it (`Passed`), or why it may not (`Withheld`). Pure: nothing is read.
Site, feeds, data sets and what strangers may ask for all use `Gate.passed`; whether a post stands
in a crowd is a question about all of them together, see `crowds`.

A post leaves only where its author did not take it down: not where the facts leave that open, nor
while a loss is not confirmed. Its words leave only under a recorded rule, scrubbed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Final

from vanished.archive import rulings as log
from vanished.archive.rulings import Ruling
from vanished.archive.settings_publish import PublishSettings, WordsRule
from vanished.explain.fate import Fate, fate
from vanished.model import SECOND, Cause, Micros, State
from vanished.publish.known_names import NONE_KNOWN, KnownNames
from vanished.publish.scrub import scrubbed

METHOD: Final = "gate/1"
REVIEWED: Final = "reviewed"
"""The confidence of what a person has corrected or confirmed."""


class Why(StrEnum):
    """Why something does not leave."""

    AUTHOR = "its author took it down"
    MAYBE_AUTHOR = "its author may have taken it down"
    UNCONFIRMED = "its loss is not confirmed"
    UNPROVEN = "it was never proven alive"
    TAKEDOWN = "a request to take it down was granted"
    TAKEDOWN_ASKED = "a request to take it down is not decided yet"
    REVIEW = "a reviewer withheld it"
    FEW = "too few accounts stand behind what would be told of it"


class NoWords(StrEnum):
    """Why a post leaves without its words."""

    NO_RULE = "no rule allows them"
    ALIVE = "nobody took it away, and the rule is for what was taken"
    SEALED = "they lie in sealed captures only"


@dataclass(frozen=True, slots=True)
class Item:
    """A post that is to leave, as `archive.arrow.POSTS` has it; times in microseconds, UTC."""

    post: str
    account: str
    platform: str
    state: State
    causes: frozenset[Cause] = frozenset()
    confidence: str = ""
    explained_by: str | None = None
    published_at: Micros | None = None
    alive_until: Micros | None = None
    gone_by: Micros | None = None
    title: str = ""
    text: str = ""

    @property
    def fate(self) -> Fate:
        return _fate(self.state, self.causes, self.explained_by is not None)


@cache
def _fate(state: State, causes: frozenset[Cause], explained: bool) -> Fate:
    return fate(state.value, ",".join(sorted(causes)), explained)


@dataclass(frozen=True, slots=True)
class Passed:
    """What may leave of a post. Names are the release's, times rounded outward, words scrubbed."""

    post: str
    account: str | None  # None unless [publish] link_accounts
    platform: str
    fate: Fate
    state: State
    causes: frozenset[Cause]
    confidence: str
    published_from: Micros | None  # it was published within `rounded` of this, as is claimed
    alive_until: Micros | None
    gone_by: Micros | None
    rounded: Micros
    title: str | None = None  # None: no words leave
    text: str | None = None
    no_words: NoWords | None = None
    ground: str = ""  # of the rule that lets the words leave
    captures: bool = field(default=False, compare=False)  # whether a rule lets its captures leave


@dataclass(frozen=True, slots=True)
class Withheld:
    """A post that stays, and why."""

    post: str  # the observatory's own key: for the operator's eyes
    fate: Fate
    why: Why


@dataclass(frozen=True, slots=True)
class Decided:
    """What people decided, as it stands: the newest word on each post and account counts."""

    granted: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    corrected: Mapping[str, frozenset[Cause]] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rulings: Iterable[Ruling]) -> Decided:
        """From the whole record, the oldest first."""
        takedown: dict[str, str] = {}
        review: dict[str, Ruling] = {}
        for ruling in rulings:
            if ruling.kind == log.ASKED and takedown.get(ruling.about) != log.GRANTED:
                takedown[ruling.about] = log.ASKED
            elif ruling.kind == log.DECIDED:
                takedown[ruling.about] = ruling.what
            elif ruling.kind == log.REVIEWED:
                review[ruling.about] = ruling
        return cls(
            _with(takedown, log.GRANTED),
            _with(takedown, log.ASKED),
            frozenset(key for key, ruling in review.items() if ruling.what == log.WITHHOLD),
            {
                key: frozenset(map(Cause, ruling.details["causes"]))
                for key, ruling in review.items()
                if ruling.what == log.CORRECT
            },
            frozenset(key for key, ruling in review.items() if ruling.what == log.CONFIRM),
        )


def _with(takedown: Mapping[str, str], what: str) -> frozenset[str]:
    return frozenset(key for key, state in takedown.items() if state == what)


NOTHING_DECIDED: Final = Decided()


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of one publication.

    `name` makes the release's pseudonyms (`pseudonyms.for_release`); `accounts` has the causes that
    are open for each lost account; `names` what is known to be somebody's name; `sealed` says that
    words could not be read; `left` holds title and text of posts, by the release's pseudonym, that
    left scrubbed before: they leave as they did.
    """

    rules: PublishSettings
    name: Callable[[str], str]
    decided: Decided = NOTHING_DECIDED
    accounts: Mapping[str, frozenset[Cause]] = field(default_factory=dict)
    names: KnownNames = NONE_KNOWN
    sealed: bool = False
    left: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def rounded(self) -> Micros:
        """Microseconds that published times are rounded to, at least."""
        return int(self.rules.round_s * SECOND)

    def passed(self, item: Item) -> Passed | Withheld:
        """What may leave of `item`: the one way out."""
        item = self.reviewed(item)
        why = self._why_not({item.post, item.account}, item)
        if why is not None:
            return Withheld(item.post, item.fate, why)
        rule = self._rule(item)
        no_words = self._no_words(item, rule)
        leaves = rule is not None and no_words is None
        post = self.name(item.post)
        title, text = self._words(post, item) if leaves else (None, None)
        return Passed(
            post=post,
            account=self.name(item.account) if self.rules.link_accounts else None,
            platform=item.platform,
            fate=item.fate,
            state=item.state,
            causes=item.causes,
            confidence=item.confidence,
            published_from=down(item.published_at, self.rounded),
            alive_until=down(item.alive_until, self.rounded),
            gone_by=up(item.gone_by, self.rounded),
            rounded=self.rounded,
            title=title,
            text=text,
            no_words=no_words,
            ground=rule.ground if rule is not None and leaves else "",
            captures=leaves and self._captures(item),
        )

    def reviewed(self, item: Item) -> Item:
        """`item` as a person corrected it, if anybody did."""
        causes = self.decided.corrected.get(item.post)
        if causes is not None and item.state in (State.GONE, State.MOVED):
            return replace(item, causes=causes, explained_by=None, confidence=REVIEWED)
        if item.post in self.decided.confirmed:
            return replace(item, confidence=REVIEWED)
        return item

    def _words(self, post: str, item: Item) -> tuple[str, str]:
        return self.left.get(post) or (self.text(item.title), self.text(item.text))

    def text(self, text: str) -> str:
        """Any words that leave, scrubbed; titles, texts and notices alike."""
        return scrubbed(text, self.names)

    def _why_not(self, keys: Collection[str], item: Item) -> Why | None:
        decided = self.decided
        for held, why in (
            (decided.granted, Why.TAKEDOWN),
            (decided.asked, Why.TAKEDOWN_ASKED),
            (decided.withheld, Why.REVIEW),
        ):
            if not held.isdisjoint(keys):
                return why
        return self._by_author(item)

    def _by_author(self, item: Item) -> Why | None:
        """Whether its author took it down, or may have, as far as anybody knows."""
        if item.state in (State.ALIVE, State.RETURNED):
            return None if item.alive_until is not None else Why.UNPROVEN
        if item.state is State.UNKNOWN:
            return Why.UNPROVEN
        if item.state in (State.SUSPECTED, State.FLICKERING):
            return Why.UNCONFIRMED
        causes = item.causes or frozenset({Cause.UNKNOWN})
        if Cause.ACCOUNT in causes or item.explained_by is not None:
            # With its account: that one's author may have closed it.
            of_account = self.accounts.get(item.explained_by or item.account)
            causes = causes - {Cause.ACCOUNT} | (of_account or frozenset({Cause.UNKNOWN}))
        if causes == {Cause.AUTHOR}:
            return Why.AUTHOR
        if causes & {Cause.AUTHOR, Cause.UNKNOWN, Cause.ACCOUNT}:
            return Why.MAYBE_AUTHOR
        return None

    def _rule(self, item: Item) -> WordsRule | None:
        covering = [r for r in self.rules.words if r.covers(item.platform, item.account)]
        return max(covering, key=lambda rule: rule.alive, default=None)

    def _captures(self, item: Item) -> bool:
        """Whether a rule lets the captures of a post leave whose words do. They name the author,
        so none leaves where the author is among the causes, nor out of a sealed observatory."""
        if self.sealed or Cause.AUTHOR in item.causes:
            return False
        taken = item.fate in (Fate.REMOVED, Fate.ACCOUNT)
        return any(
            rule.captures and bool(rule.accounts) and (rule.alive or taken)
            for rule in self.rules.words
            if rule.covers(item.platform, item.account)
        )

    def _no_words(self, item: Item, rule: WordsRule | None) -> NoWords | None:
        if rule is None:
            return NoWords.NO_RULE
        if not rule.alive and item.fate not in (Fate.REMOVED, Fate.ACCOUNT):
            return NoWords.ALIVE
        return NoWords.SEALED if self.sealed and not (item.title or item.text) else None


def down(t: Micros | None, width: Micros) -> Micros | None:
    """`t` rounded down to a multiple of `width` microseconds since the epoch."""
    return None if t is None else t // width * width


def up(t: Micros | None, width: Micros) -> Micros | None:
    """`t` rounded up likewise: an interval that is rounded outward stays true."""
    return None if t is None else -(-t // width) * width
