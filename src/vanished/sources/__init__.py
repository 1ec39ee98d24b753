"""Ask a platform and read its answer into facts. One file a platform.

A source reads; it draws no conclusion beyond what a notice rule states, opens no socket and keeps
no state. A new platform is one file here and one TOML in `notices/`; `registry` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from vanished.model import Account, Discovery, Look, Post
from vanished.net.exchange import Fetch

Naming = Callable[[str, str], str]
"""(platform, native id) -> pseudonym key; see `archive.pseudonyms`."""


class Source(Protocol):
    """What every platform offers to the watch.

    Some offer more: `post` (an address to a post, for canaries), `login` (`net.login`), a stream of
    changes (`sources.streaming`).

    The url of every account and post that a source makes has the host that is asked about it:
    budgets are kept by that host.
    """

    platform: str
    batch: int  # how many posts one request of `look` can answer for

    def account(self, address: str) -> Account:
        """The account that a person means by `address`; UsageError if it cannot be one."""
        ...

    def post(self, address: str) -> Post:
        """The one post that a person means by `address`, under the name that a list would give it;
        UsageError if it cannot be one.

        Canaries are named so. Whether a single post can be watched, `account` says: where it takes
        the address, the post is its own account (a page, an article); else see `registry.account`.
        """
        ...

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """Read the account's list once. `cursor` is the last Discovery's, "" at first."""
        ...

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask about at most `batch` posts of one host; one Look a post, in their order."""
        ...


Settings = Mapping[str, object]
"""The `[sources.NAME]` table of observatory.toml, already checked."""

Making = Callable[[Naming, Settings], Source]
"""How a source is made: what the class of every source can be called with."""
