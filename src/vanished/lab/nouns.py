"""The nouns of a simulated world: who posts what, and what becomes of it.

Plain frozen values, all of them truth: nothing here is what a platform shows. Times are
microseconds, whole seconds of them where a platform would state them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vanished.model import DAY, Cause, Kind, Micros


class By(StrEnum):
    """The mechanism of a loss; `Cause` says to whom it is put down."""

    KEYWORD = "keyword"
    COMBINATION = "combination"
    REVIEW = "review"
    CAMPAIGN = "campaign"
    LEGAL = "legal"
    AUTHOR = "author"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Form:
    """How a loss is shown. `open` is the set of causes that the form leaves open.

    `words` stands in the page's error block or the list's error field; a form without words is a
    bare status. `about_account` tells notices of a lost account from those of a lost post.
    """

    name: str
    words: str
    open: frozenset[Cause]
    status: int = 200
    kind: Kind = Kind.GONE
    about_account: bool = False
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """The end of a post or an account, and its return where there was one."""

    at: Micros
    cause: Cause
    by: By
    form: Form
    rule: tuple[str, ...] = ()  # the censor's words that fired
    returned_at: Micros | None = None

    def gone(self, t: Micros) -> bool:
        """Whether the subject is lost at `t`."""
        return self.at <= t and (self.returned_at is None or t < self.returned_at)


@dataclass(frozen=True, slots=True)
class Growth:
    """A counter: 0 at first, half of `ceiling` at the age `half`, at rest after ten halves."""

    ceiling: int
    half: Micros

    def at(self, age: Micros) -> int:
        """The true value at an age in microseconds; never falls."""
        halves = min(age / self.half, 10.0)
        return int(self.ceiling * (1.0 - 0.5**halves)) if age > 0 else 0


@dataclass(frozen=True, slots=True)
class Wording:
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class LabPost:
    id: str
    account: int  # index in the world's accounts
    published_at: Micros
    topic: str
    script: str
    wording: Wording
    views: Growth
    likes: Growth
    reposts: Growth
    comments: Growth
    media: tuple[str, ...] = ()  # paths on the platform
    repeats: int | None = None  # index of the post that this one repeats
    edited_at: Micros | None = None
    edited: Wording | None = None
    loss: Loss | None = None

    def worded(self, t: Micros) -> Wording:
        """Title and text as they stand at `t`."""
        if self.edited is not None and self.edited_at is not None and self.edited_at <= t:
            return self.edited
        return self.wording


@dataclass(frozen=True, slots=True)
class LabAccount:
    id: str
    name: str
    rate: float  # posts a day
    leaning: tuple[float, ...]  # share of each topic in its posts
    strictness: float  # multiplies the probability that a reviewer removes a post of its
    loss: Loss | None = None
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A sweep of one topic at all ages, which removes each living post at the rate `per_hour`."""

    topic: str
    start: Micros
    end: Micros
    per_hour: float
    accounts: int  # how many accounts it takes with it


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a world is made of. Shares are of all posts, before one loss forestalls another."""

    seed: int
    start: Micros
    days: int = 31
    history_days: int = 2  # posts from before the start that are there already
    accounts: int = 60
    posts_per_day: float = 100.0
    keyword: float = 0.012
    combination: float = 0.008
    lone_word: float = 0.03  # a word of a combination without its others: harmless
    review: float = 0.030
    legal: float = 0.005
    author: float = 0.025
    quote: float = 0.015  # posts that quote a removal notice
    repost: float = 0.08
    copy: float = 0.03  # near copies of another's post
    edit: float = 0.04
    appeal: float = 0.08  # of the posts that a reviewer removed: returned after 2 to 6 days
    ambiguous: float = 0.12  # of the losses: a form that leaves several causes open
    bare: float = 0.08  # of the losses: a bare 404
    campaign: Campaign | None = field(default=None)
    enforced: int = 1  # accounts removed outside of a campaign
    closed: int = 2  # accounts that close themselves
    moved: int = 1  # accounts that move elsewhere

    @property
    def end(self) -> Micros:
        return self.start + self.days * DAY
