"""What the simulated platform shows of a world at a moment, when nothing goes wrong.

In: a world, a native id, a time. Out: an `Answer`: a post's page, an account's page, an account's
list as JSON, or the form in which a loss is shown. Texts are escaped, so a post that quotes a
notice never grows an error block. Counters are rounded as Chinese platforms round them. Traps,
replicas and sockets stand elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

from vanished.lab.nouns import Form, LabPost, Wording
from vanished.lab.world import World
from vanished.model import SECOND, Kind, Micros, at

SITE = "小岸"
MOST_LISTED = 50

HTML = "text/html; charset=utf-8"
JSON = "application/json"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer as it ought to arrive."""

    status: int
    body: bytes
    type: str = HTML
    headers: Headers = ()


def shown(n: int) -> str:
    """A counter as the platform shows it: 9999, 1.2万 (cut off, not rounded up), 10万+."""
    if n < 10_000:
        return str(n)
    if n >= 100_000:
        return "10万+"
    return f"{n // 10_000}.{n // 1_000 % 10}万"


def page(title: str, body: str) -> bytes:
    """A whole HTML document of the site."""
    return (
        f'<!doctype html>\n<html lang="zh"><head><meta charset="utf-8"><title>{escape(title)}'
        f'</title></head>\n<body><header><a href="/">{SITE}</a></header>\n{body}\n</body></html>\n'
    ).encode()


BARE_404 = Answer(
    404,
    b"<!doctype html>\n<html><head><title>404</title></head>"
    b"<body><h1>404 Not Found</h1></body></html>\n",
)


def notice(form: Form) -> Answer:
    """The page in which a loss is shown."""
    if not form.words:
        return BARE_404
    block = f'<div class="error-block" role="alert"><p>{escape(form.words)}</p></div>'
    return Answer(form.status, page(f"提示 - {SITE}", block))


class Pages:
    """The platform's answers about one world. What it keeps is only rendered text."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._heads: dict[tuple[int, bool], str] = {}  # page of a post up to its counters
        self._entries: dict[tuple[int, bool], str] = {}  # the same in JSON

    # -- a post ---------------------------------------------------------------------------------

    def post(self, native_id: str, t: Micros) -> Answer:
        """The page of a post at `t`."""
        number = self.world.post.get(native_id)
        if number is None or self.world.posts[number].published_at > t:
            return BARE_404
        post = self.world.posts[number]
        if post.loss is not None and post.loss.gone(t):
            form = post.loss.form
            if form.kind is Kind.MOVED and number % 2:
                return self._redirect(f"/moved/{self.world.accounts[post.account].id}")
            return notice(form)
        quoted = ""
        if post.repeats is not None:
            original = self.world.posts[post.repeats]
            lost = original.loss if original.loss is not None and original.loss.gone(t) else None
            inside = original.worded(t).title if lost is None else lost.form.words or "原文不可见"
            quoted = f'<aside class="quoted"><p>{escape(inside)}</p></aside>\n'
        counts = "".join(f'<li class="{name}">{shown(n)}</li>' for name, n in counted(post, t))
        body = f'{self._head(number, t)}{quoted}<ul class="counts">{counts}</ul></main>'
        return Answer(200, body.encode() + b"\n</body></html>\n")

    def _head(self, number: int, t: Micros) -> str:
        post = self.world.posts[number]
        wording = post.worded(t)
        key = (number, wording is post.edited)
        if key not in self._heads:
            self._heads[key] = self._rendered(post, wording)
        return self._heads[key]

    def _rendered(self, post: LabPost, wording: Wording) -> str:
        account = self.world.accounts[post.account]
        paragraphs = "".join(f"<p>{escape(line)}</p>\n" for line in wording.text.split("\n"))
        media = "".join(f'<img src="{escape(path)}" alt="">\n' for path in post.media)
        title = escape(wording.title)
        when = at(post.published_at).isoformat()
        return (
            f'<!doctype html>\n<html lang="zh"><head><meta charset="utf-8"><title>{title} - {SITE}'
            f'</title></head>\n<body><header><a href="/">{SITE}</a></header>\n'
            f'<main id="post" data-id="{post.id}"><h1>{title}</h1>\n<p class="meta">'
            f'<a href="/a/{account.id}">{escape(account.name)}</a> <time datetime="{when}">{when}'
            f'</time></p>\n<div class="text">\n{paragraphs}{media}</div>\n'
        )

    # -- an account -----------------------------------------------------------------------------

    def account(self, native_id: str, t: Micros) -> Answer:
        """The page of an account at `t`."""
        number = self.world.account.get(native_id)
        if number is None:
            return BARE_404
        account = self.world.accounts[number]
        if account.loss is not None and account.loss.gone(t):
            if account.moved_to:
                return self._redirect(f"/moved/{account.id}")
            return notice(account.loss.form)
        name = escape(account.name)
        body = f'<main id="account" data-id="{account.id}"><h1>{name}</h1></main>'
        return Answer(200, page(f"{account.name} - {SITE}", body))

    def moved(self, native_id: str, t: Micros) -> Answer:
        """Where the platform sends those who ask for what moved."""
        number = self.world.account.get(native_id)
        loss = None if number is None else self.world.accounts[number].loss
        if loss is None or loss.form.kind is not Kind.MOVED or not loss.gone(t):
            return BARE_404
        return notice(loss.form)

    def _redirect(self, path: str) -> Answer:
        return Answer(302, b"", headers=(("location", path),))

    def timeline(self, native_id: str, t: Micros, before: Micros | None, limit: int) -> Answer:
        """An account's living posts, newest first, and since when that is all there is."""
        number = self.world.account.get(native_id)
        if number is None:
            return BARE_404
        account = self.world.accounts[number]
        if account.loss is not None and account.loss.gone(t):
            form = account.loss.form
            if not form.words:
                return BARE_404
            said = {"message": form.words, "moved_to": account.moved_to or None}
            return Answer(200, _json({"ok": False, "error": said}), JSON)
        posts, more = self.world.listed(number, t, before, max(1, min(limit, MOST_LISTED)))
        since = self.world.posts[posts[-1]].published_at // SECOND if more else 0
        entries = ",".join(self._entry(i, t) for i in posts)
        head = json.dumps({"id": account.id, "name": account.name}, ensure_ascii=False)
        body = (
            f'{{"ok":true,"account":{head},"complete_since":{since},'
            f'"more":{"true" if more else "false"},"posts":[{entries}]}}'
        )
        return Answer(200, body.encode(), JSON)

    def _entry(self, number: int, t: Micros) -> str:
        post = self.world.posts[number]
        wording = post.worded(t)
        key = (number, wording is post.edited)
        if key not in self._entries:
            original = None if post.repeats is None else self.world.posts[post.repeats].id
            fixed = {
                "id": post.id,
                "title": wording.title,
                "text": wording.text,
                "published": post.published_at // SECOND,
                "media": list(post.media),
                "repost_of": original,
            }
            self._entries[key] = json.dumps(fixed, ensure_ascii=False)[:-1]
        counts = ",".join(f'"{name}":"{shown(n)}"' for name, n in counted(post, t))
        return f"{self._entries[key]},{counts}}}"


def counted(post: LabPost, t: Micros) -> tuple[tuple[str, int], ...]:
    """The true counters at `t` with their names."""
    age = t - post.published_at
    return (
        ("views", post.views.at(age)),
        ("likes", post.likes.at(age)),
        ("reposts", post.reposts.at(age)),
        ("comments", post.comments.at(age)),
    )


def empty_list(native_id: str) -> Answer:
    """A list that claims to hold nothing."""
    said = {"ok": True, "account": {"id": native_id}, "complete_since": None, "posts": []}
    return Answer(200, _json(said), JSON)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
