"""From a recipe to a world: accounts, what they post, and what becomes of it.

In: a `Recipe` and one random generator. Out: accounts and posts with their truth. Each loss is
the earliest of several that compete (filter, review, campaign, complaint, the author, the
account's own end), so the shares of a recipe are upper bounds. Nothing here is a platform.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vanished.lab import censor
from vanished.lab.nouns import (
    By,
    Campaign,
    Growth,
    LabAccount,
    LabPost,
    Loss,
    Recipe,
    Wording,
)
from vanished.lab.texts import (
    TOPICS,
    Script,
    account_name,
    comment,
    compose,
    quoting,
    update,
    weave,
)
from vanished.model import DAY, HOUR, MINUTE, SECOND, Cause, Micros

# Posts by hour of the day in China, from 0 to 23: hardly any at night, most in the evening.
_HOURS = np.array([3, 2, 1, 1, 1, 2, 4, 7, 9, 9, 9, 9, 10, 9, 8, 8, 8, 8, 9, 10, 11, 11, 9, 6.0])
_UTC_8 = 8 * HOUR
_TOPIC_INDEX = {topic.name: i for i, topic in enumerate(TOPICS)}


def create(recipe: Recipe) -> tuple[tuple[LabAccount, ...], tuple[LabPost, ...]]:
    """The accounts and posts of `recipe`, posts in order of publication; the same every time."""
    rng = np.random.default_rng(recipe.seed)
    accounts = _accounts(rng, recipe)
    plan = _plan(rng, recipe, accounts)
    accounts = _ends(rng, recipe, accounts, plan)
    posts = _write(rng, recipe, accounts, plan)
    strictness = _levelled(accounts, posts)
    fated = [_fate(rng, recipe, accounts, strictness, post) for post in posts]
    return tuple(accounts), tuple(fated)


def default_campaign(start: Micros, days: int) -> Campaign:
    """Five days (or a third of a short world) in which one topic is swept, from the middle on."""
    begin = start + int(0.45 * days * DAY)
    length = min(5.0, days / 3)
    return Campaign("bridge", begin, begin + int(length * DAY), per_hour=0.03, accounts=2)


def _native_id(prefix: str, index: int, seed: int) -> str:
    """Unique, and in no order that would give the time of posting away."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    number = (index * 0x5DEECE66D + seed * 11 + 0xB) % 32**7  # odd factor: a bijection
    return prefix + "".join(digits[number >> shift & 31] for shift in range(0, 35, 5))


# -- accounts ----------------------------------------------------------------------------------


def _accounts(rng: np.random.Generator, recipe: Recipe) -> list[LabAccount]:
    count = recipe.accounts
    rates = np.exp(rng.normal(0.0, 1.0, count))
    rates = np.minimum(rates / rates.sum(), max(0.12, 2.0 / count))  # nobody is most of the world
    rates *= recipe.posts_per_day / rates.sum()
    strictness = rng.gamma(censor.STRICTNESS_SHAPE, 1.0 / censor.STRICTNESS_SHAPE, count)
    base = np.array([topic.share for topic in TOPICS])
    names: set[str] = set()
    accounts = []
    for i in range(count):
        leaning = rng.dirichlet(6.0 * base / base.sum())
        name = account_name(rng)
        while name in names:
            name += str(int(rng.integers(10)))
        names.add(name)
        accounts.append(
            LabAccount(
                _native_id("u", i, recipe.seed),
                name,
                float(rates[i]),
                tuple(leaning.tolist()),
                float(strictness[i]),
            )
        )
    return accounts


def _ends(
    rng: np.random.Generator,
    recipe: Recipe,
    accounts: list[LabAccount],
    plan: list[tuple[Micros, int, int]],
) -> list[LabAccount]:
    """Accounts with their end, where they have one: never a loud one, which would be the month."""
    quiet = sorted(range(len(accounts)), key=lambda i: accounts[i].rate)
    quiet = [i for i in quiet[: len(quiet) * 3 // 5] if any(a == i for _, a, _ in plan)]
    ends: dict[int, tuple[Micros, Cause, By]] = {}
    campaign = recipe.campaign
    if campaign is not None:
        topic = _TOPIC_INDEX[campaign.topic]
        leaning = sorted(quiet, key=lambda i: -accounts[i].leaning[topic])
        for i in leaning[: campaign.accounts]:
            when = campaign.start + int(rng.uniform(0.05, 0.95) * (campaign.end - campaign.start))
            ends[i] = (when, Cause.PLATFORM, By.CAMPAIGN)
    free = [i for i in quiet if i not in ends]
    chosen = [free[j] for j in rng.permutation(len(free)).tolist()]
    kinds = [(Cause.PLATFORM, By.REVIEW)] * recipe.enforced
    kinds += [(Cause.AUTHOR, By.AUTHOR)] * recipe.closed + [(Cause.MOVED, By.AUTHOR)] * recipe.moved
    for i, (cause, by) in zip(chosen, kinds, strict=False):
        ends[i] = (recipe.start + int(rng.uniform(0.1, 0.9) * recipe.days * DAY), cause, by)
    changed = list(accounts)
    for i, (when, cause, by) in sorted(ends.items()):
        form = censor.form_of(rng, cause, recipe, account=True)
        moved_to = _native_id("u", len(accounts) + i, recipe.seed) if cause is Cause.MOVED else ""
        changed[i] = replace(accounts[i], loss=Loss(when, cause, by, form), moved_to=moved_to)
    return changed


# -- posts -------------------------------------------------------------------------------------


def _plan(
    rng: np.random.Generator, recipe: Recipe, accounts: list[LabAccount]
) -> list[tuple[Micros, int, int]]:
    """(when, which account, which topic) of every post, in order of time."""
    begin = recipe.start - recipe.history_days * DAY
    days = recipe.history_days + recipe.days
    count = int(rng.poisson(recipe.posts_per_day * days))
    rates = np.array([account.rate for account in accounts])
    who = rng.choice(len(accounts), size=count, p=rates / rates.sum())
    hour = rng.choice(24, size=count, p=_HOURS / _HOURS.sum())
    day = rng.integers(days, size=count)
    second = rng.integers(3600, size=count)
    which = rng.random(count)
    taken: set[tuple[int, Micros]] = set()
    plan = []
    for i in range(count):
        account = int(who[i])
        local = int(day[i]) * DAY + int(hour[i]) * HOUR + int(second[i]) * SECOND
        when = begin + (local - _UTC_8) % (days * DAY)
        while (account, when) in taken:  # a list is paged by time: one post a second and account
            when += SECOND
        taken.add((account, when))
        leaning = np.cumsum(accounts[account].leaning)
        topic = min(int(np.searchsorted(leaning, which[i])), len(TOPICS) - 1)
        plan.append((when, account, topic))
    return sorted(plan)


def _write(
    rng: np.random.Generator,
    recipe: Recipe,
    accounts: list[LabAccount],
    plan: list[tuple[Micros, int, int]],
) -> list[LabPost]:
    posts: list[LabPost] = []
    for when, account, topic in plan:
        loss = accounts[account].loss
        if loss is None or when < loss.at:
            posts.append(_post(rng, recipe, posts, when, account, topic))
    return posts


def _post(
    rng: np.random.Generator,
    recipe: Recipe,
    earlier: list[LabPost],
    when: Micros,
    account: int,
    topic: int,
) -> LabPost:
    u = rng.random()
    script = Script.SIMPLIFIED if u < 0.8 else Script.TRADITIONAL if u < 0.92 else Script.ENGLISH
    repeats, name, wording = None, TOPICS[topic].name, Wording(*compose(rng, TOPICS[topic], script))
    kind = rng.random()
    recent = range(max(0, len(earlier) - 80), len(earlier))
    others = [i for i in recent if earlier[i].account != account and earlier[i].repeats is None]
    source = others[int(rng.integers(len(others)))] if others else None
    if source is not None and kind < recipe.repost:
        repeats, name = source, earlier[source].topic
        wording = Wording(*comment(rng, script))
    elif source is not None and kind < recipe.repost + recipe.copy:
        original = earlier[source]
        script, name = Script(original.script), original.topic
        wording = Wording(original.wording.title, f"转：{original.wording.text}")
    elif kind < recipe.repost + recipe.copy + recipe.quote:
        forms = [form for form in censor.every_form() if form.words]
        wording = Wording(*quoting(rng, forms[int(rng.integers(len(forms)))].words))
    else:
        wording = _laced(rng, recipe, wording, script)
    index = len(earlier)
    post_id = _native_id("p", index, recipe.seed)
    edited_at, edited = None, None
    if rng.random() < recipe.edit:
        edited_at = when + int(math.exp(rng.normal(math.log(40), 1.2)) * MINUTE)
        edited = Wording(wording.title, update(rng, wording.text, script))
    pictures = int(rng.integers(1, 4)) if rng.random() < 0.35 else 0
    return LabPost(
        post_id,
        account,
        when,
        name,
        script,
        wording,
        *_counters(rng),
        media=tuple(f"/m/{post_id}-{n}.gif" for n in range(pictures)),
        repeats=repeats,
        edited_at=edited_at,
        edited=edited,
    )


def _laced(rng: np.random.Generator, recipe: Recipe, wording: Wording, script: Script) -> Wording:
    """`wording`, in a share of posts with words that the censor knows."""
    english = script is Script.ENGLISH
    keywords = [w for w in censor.KEYWORDS if w.isascii() == english]
    combinations = [c for c in censor.COMBINATIONS if c[0].isascii() == english]
    u = rng.random()
    words: tuple[str, ...] = ()
    if u < recipe.keyword:
        words = (keywords[int(rng.integers(len(keywords)))],)
    elif u < recipe.keyword + recipe.combination:
        words = combinations[int(rng.integers(len(combinations)))]
        words = tuple(words[i] for i in rng.permutation(len(words)).tolist())
    elif u < recipe.keyword + recipe.combination + recipe.lone_word:
        words = combinations[int(rng.integers(len(combinations)))]
        words = (words[int(rng.integers(len(words)))],)
    return Wording(wording.title, weave(rng, wording.text, words, script)) if words else wording


def _counters(rng: np.random.Generator) -> tuple[Growth, Growth, Growth, Growth]:
    """Views, likes, reposts and comments: heavy tails, so that some are rounded by the platform."""
    views = math.exp(rng.normal(math.log(900), 1.9))
    half = int(math.exp(rng.normal(math.log(5), 0.6)) * HOUR)
    shares = np.array([0.02, 0.004, 0.006]) * np.exp(rng.normal(0.0, 0.5, 3))
    ceilings = [views, *(views * shares).tolist()]
    one, two, three, four = (Growth(int(ceiling), half) for ceiling in ceilings)
    return one, two, three, four


# -- fates -------------------------------------------------------------------------------------


def _levelled(accounts: list[LabAccount], posts: list[LabPost]) -> list[float]:
    """The accounts' strictness, levelled so that it averages one over the posts.

    With a Gamma of this shape the loudest account would else decide how strict the month is.
    """
    weighed = [accounts[post.account].strictness for post in posts]
    mean = sum(weighed) / len(weighed) if weighed else 1.0
    return [account.strictness / mean for account in accounts]


def _fate(
    rng: np.random.Generator,
    recipe: Recipe,
    accounts: list[LabAccount],
    strictness: list[float],
    post: LabPost,
) -> LabPost:
    """`post` with the first of the losses that threaten it, if that comes before the end."""
    born, account = post.published_at, accounts[post.account]
    threats: list[tuple[Micros, Cause, By, tuple[str, ...]]] = []
    text = f"{post.wording.title}\n{post.wording.text}"
    # Drawn for every post, used or not: a post's fate then does not shift its successors'.
    fast, slow = (censor.filter_delay(rng, combined=c) for c in (False, True))
    review_u, age_u, legal_u, author_u, appeal_u, sweep = rng.random(6)
    legal, author, away = censor.legal_age(rng), censor.author_age(rng), censor.absence(rng)
    if word := censor.keyword_in(text):
        threats.append((born + fast, Cause.PLATFORM, By.KEYWORD, (word,)))
    if words := censor.combination_in(text):
        threats.append((born + slow, Cause.PLATFORM, By.COMBINATION, words))
    if review_u < min(0.9, recipe.review * strictness[post.account]):
        age = int(censor.review_age(np.array([age_u]))[0])
        threats.append((born + age, Cause.PLATFORM, By.REVIEW, ()))
    swept = _sweep(recipe.campaign, post, sweep)
    if swept is not None:
        threats.append((swept, Cause.PLATFORM, By.CAMPAIGN, ()))
    if legal_u < recipe.legal:
        threats.append((born + legal, Cause.LEGAL, By.LEGAL, ()))
    if author_u < recipe.author:
        threats.append((born + author, Cause.AUTHOR, By.AUTHOR, ()))
    if account.loss is not None:
        moved = account.loss.cause is Cause.MOVED
        cause = Cause.MOVED if moved else Cause.ACCOUNT
        threats.append((account.loss.at, cause, By.ACCOUNT, ()))
    form_rng = rng.spawn(1)[0]
    if not threats:
        return post
    when, cause, by, rule = min(threats)
    if when >= recipe.end:
        return post
    form = censor.form_of(form_rng, cause, recipe, account=False)
    returns = by is By.REVIEW and appeal_u < recipe.appeal and account.loss is None
    loss = Loss(when, cause, by, form, rule, when + away if returns else None)
    return replace(post, loss=loss)


def _sweep(campaign: Campaign | None, post: LabPost, u: float) -> Micros | None:
    """When the campaign removes `post`: exponential from the moment that both exist."""
    if campaign is None or post.topic != campaign.topic:
        return None
    begin = max(campaign.start, post.published_at)
    when = begin + int(-math.log1p(-u) / campaign.per_hour * HOUR)
    return when if when < campaign.end else None
