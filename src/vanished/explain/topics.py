"""Topics that a person names by their words: which post is about which.

In: a table of posts, and by name of topic its words. Out: a table (post, topic), a row for each
topic of each post. Plain containment, ignoring case: what a topic's words miss, it misses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from vanished.errors import UsageError


def parse_topics(given: Sequence[str]) -> dict[str, list[str]]:
    """Topics as a person types them, "NAME=word|word" each. Raises UsageError."""
    found: dict[str, list[str]] = {}
    for text in given:
        name, equals, words = text.partition("=")
        chosen = [word.strip() for word in words.split("|") if word.strip()]
        if not (name.strip() and equals and chosen):
            raise UsageError(
                f"--topic '{text}' names no topic and its words; write one such as"
                " 'flood=high water|dam'."
            )
        found.setdefault(name.strip(), []).extend(chosen)
    return found


def topics(posts: pa.Table, words: Mapping[str, Sequence[str]]) -> pa.Table:
    """Which posts hold which topic's words, in title or text; columns post and topic."""
    parts = []
    for name, chosen in words.items():
        about = posts["post"].filter(holding(posts, chosen))
        parts.append(pa.table({"post": about, "topic": pa.repeat(name, len(about))}))
    empty = pa.schema([("post", pa.string()), ("topic", pa.string())])
    return pa.concat_tables([empty.empty_table(), *(part.cast(empty) for part in parts)])


def holding(posts: pa.Table, words: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """Whether each post holds any of `words`, in title or text, ignoring case."""
    has = pa.repeat(False, posts.num_rows)
    for word in words:
        for column in ("title", "text"):
            has = pc.or_(has, pc.match_substring(posts[column], word, ignore_case=True))
    return has
