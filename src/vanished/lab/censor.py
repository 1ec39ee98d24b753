"""The censor of a simulated platform, and the authors who forestall it.

In: a random generator, a text, an age. Out: which filter fires, how long each way of losing a
post takes, and in which form the loss is shown. The words are invented and mean nothing. Nothing
here knows a platform's addresses or who is watching.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vanished.lab.nouns import Form, Recipe
from vanished.lab.texts import to_traditional
from vanished.model import DAY, HOUR, MINUTE, SECOND, Cause, Kind, Micros

Floats = npt.NDArray[np.float64]

# -- filters -----------------------------------------------------------------------------------

KEYWORDS: tuple[str, ...] = (
    *(
        "灰鹤名单",
        "三号闸口",
        "白伞夜谈",
        "沉河录音",
        "静默广场",
        "第七封信",
        "铁门合唱",
        "盐湖账本",
    ),
    *("grey crane list", "salt lake ledger"),
)
EVADES = frozenset({"沉河录音", "铁门合唱"})
"""Keywords that the filter does not know in traditional characters."""

COMBINATIONS: tuple[tuple[str, ...], ...] = (
    ("码头", "熄灯"),
    ("总长", "泳池"),
    ("名册", "夜班车", "围栏"),
    ("桥墩", "砂浆", "签收单"),
    ("harbour", "blackout"),
)

_KEYWORD_FORMS: Mapping[str, str] = {
    form: word
    for word in KEYWORDS
    for form in ((word,) if word in EVADES else (word, to_traditional(word)))
}
_COMBINATION_FORMS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    form: words
    for words in COMBINATIONS
    for form in (words, tuple(to_traditional(word) for word in words))
}


def keyword_in(text: str) -> str:
    """The keyword that makes the filter fire on `text`, as listed; "" if none does."""
    return next((word for form, word in _KEYWORD_FORMS.items() if form in text), "")


def combination_in(text: str) -> tuple[str, ...]:
    """The first combination all of whose words stand in `text`, in whatever order; () if none."""
    fired = (
        words for form, words in _COMBINATION_FORMS.items() if all(part in text for part in form)
    )
    return next(fired, ())


# -- how long it takes ---------------------------------------------------------------------------

REVIEW_AGES: tuple[tuple[Micros, float], ...] = (
    (2 * MINUTE, 0.0),
    (8 * MINUTE, 0.05),
    (30 * MINUTE, 0.30),
    (24 * HOUR, 0.90),
    (72 * HOUR, 1.0),
)
"""Age at removal of posts that human review removes, as a distribution function.

The knots are those of Zhu et al. 2013 (The Velocity of Censorship, USENIX Security): nearly 30 %
of deletions 5 to 30 minutes after posting, nearly 90 % within a day. Log-linear in between: ours.
"""

STRICTNESS_SHAPE = 0.35
"""Shape of the Gamma distribution of an account's multiplier: a few accounts bear most removals."""


def review_age(u: Floats) -> Floats:
    """Ages at removal in microseconds for uniform `u` in [0, 1): the inverse of `REVIEW_AGES`."""
    logs = [math.log(age) for age, _ in REVIEW_AGES]
    return np.exp(np.interp(u, [share for _, share in REVIEW_AGES], logs))


def filter_delay(rng: np.random.Generator, *, combined: bool) -> Micros:
    """Seconds to minutes: a lognormal delay, longer where words have to be combined."""
    median_s, longest_s = (120.0, 900.0) if combined else (25.0, 300.0)
    return int(min(longest_s, max(1.0, median_s * math.exp(rng.normal(0.0, 0.9)))) * SECOND)


def author_age(rng: np.random.Generator) -> Micros:
    """Age at which authors take a post back: lognormal, median 5 hours, with a long tail."""
    return int(max(20.0, 5 * 3600.0 * math.exp(rng.normal(0.0, 1.7))) * SECOND)


def legal_age(rng: np.random.Generator) -> Micros:
    """Age at which a complaint takes effect: lognormal, median 4 days."""
    return int(4 * DAY * math.exp(rng.normal(0.0, 0.7)))


def absence(rng: np.random.Generator) -> Micros:
    """How long a post is away that returns after an appeal: 2 to 6 days."""
    return int(rng.uniform(2, 6) * DAY)


# -- how it is shown -----------------------------------------------------------------------------

_PLATFORM, _AUTHOR = frozenset({Cause.PLATFORM}), frozenset({Cause.AUTHOR})
_LEGAL, _ACCOUNT = frozenset({Cause.LEGAL}), frozenset({Cause.ACCOUNT})
_MOVED, _EITHER = frozenset({Cause.MOVED}), frozenset({Cause.AUTHOR, Cause.PLATFORM})

BARE = Form("bare", "", frozenset({Cause.UNKNOWN}), status=404, weak=True)

_UNSURE = (
    Form("unsure-zh", "内容不存在，或者你没有查看的权限。", _EITHER, weak=True),
    Form(
        "unsure-en",
        "This post does not exist, or you are not allowed to see it.",
        _EITHER,
        404,
        weak=True,
    ),
)
_UNSURE_ACCOUNT = (
    Form("account-unsure", "该帐号暂时无法访问。", _EITHER, about_account=True, weak=True),
)

POST_FORMS: Mapping[Cause, tuple[Form, ...]] = {
    Cause.PLATFORM: (
        Form("rules-zh", "此内容因违反平台公约，无法查看。", _PLATFORM),
        Form("rules-hant", "此內容因違反平臺公約，無法查看。", _PLATFORM),
        Form("rules-en", "This post was removed because it breaks our rules.", _PLATFORM, 404),
    ),
    Cause.AUTHOR: (
        Form("author-zh", "该内容已由作者本人删除。", _AUTHOR),
        Form("author-en", "The author deleted this post.", _AUTHOR, 410),
    ),
    Cause.LEGAL: (
        Form("legal-zh", "收到权利人投诉，此内容已依法下架。", _LEGAL),
        Form("legal-451", "Unavailable here because of a legal demand.", _LEGAL, 451),
    ),
    Cause.ACCOUNT: (
        Form("of-removed-zh", "该帐号已停用，其内容无法查看。", _ACCOUNT, about_account=True),
        Form(
            "of-removed-en", "The account of this post is gone.", _ACCOUNT, 404, about_account=True
        ),
    ),
    Cause.MOVED: (Form("of-moved", "该帐号已迁移，请前往新帐号查看。", _MOVED, kind=Kind.MOVED),),
}
"""Forms that name the cause of a lost post."""

ACCOUNT_FORMS: Mapping[Cause, tuple[Form, ...]] = {
    Cause.PLATFORM: (
        Form("account-rules", "该帐号因违反平台公约已被停用。", _PLATFORM, about_account=True),
    ),
    Cause.AUTHOR: (Form("account-closed", "该帐号已由本人注销。", _AUTHOR, about_account=True),),
    Cause.MOVED: (
        Form(
            "account-moved", "该帐号已迁移至新的帐号。", _MOVED, kind=Kind.MOVED, about_account=True
        ),
    ),
}
"""The same for a lost account, as its own page and list show it."""


def every_form() -> tuple[Form, ...]:
    """All forms, each once."""
    shown = [f for forms in (*POST_FORMS.values(), *ACCOUNT_FORMS.values()) for f in forms]
    return (*shown, *_UNSURE, *_UNSURE_ACCOUNT, BARE)


def form_of(rng: np.random.Generator, cause: Cause, recipe: Recipe, *, account: bool) -> Form:
    """How a loss is shown: mostly by a notice that names its cause."""
    u, choice = rng.random(), rng.random()
    vague = cause in (Cause.AUTHOR, Cause.PLATFORM)
    if u < recipe.bare and cause is not Cause.MOVED and not account:
        return BARE
    forms = (ACCOUNT_FORMS if account else POST_FORMS)[cause]
    if vague and u < recipe.bare + recipe.ambiguous:
        forms = _UNSURE_ACCOUNT if account else _UNSURE
    return forms[int(choice * len(forms))]
