"""What the facts are called on a page: causes, states, confidence, kinds of answers, rules.

In: the values that verdicts carry. Out: English words, which `tongues` translates.
"""

from __future__ import annotations

from typing import Final

CAUSES: Final = {
    "platform": "removed by the platform",
    "legal": "removed for a legal demand",
    "author": "taken down by its author",
    "account": "gone with its account",
    "network": "stopped by the network",
    "moved": "moved elsewhere",
    "unknown": "cause unknown",
}
SHORT: Final = {
    "platform": "platform",
    "legal": "legal demand",
    "author": "author",
    "account": "account",
    "network": "network",
    "moved": "moved",
    "unknown": "unknown",
    "open": "several possible",
}
SIGNS: Final = {
    "platform": "■", "legal": "§", "author": "○", "account": "◆", "network": "≠", "moved": "→",
    "unknown": "?", "open": "±",
}  # fmt: skip
"""A sign beside each colour, so that nobody has to tell colours apart."""
STATES: Final = {
    "gone": "gone",
    "moved": "moved",
    "returned": "has returned",
    "flickering": "answers contradict each other",
    "suspected": "seen gone, not confirmed",
    "alive": "there",
    "unknown": "not known",
    "any": "any",
}
CONFIDENCE: Final = {"high": "high", "medium": "medium", "low": "low"}
KINDS: Final = {
    "alive": "there",
    "gone": "gone",
    "error": "the look failed; it proves nothing",
    "absent": "not in the list; asked directly next",
    "moved": "moved",
}
SCRIPTS: Final = {
    "han": "Chinese", "kana": "Japanese", "hangul": "Korean", "latin": "Latin letters",
    "cyrillic": "Cyrillic letters", "arabic": "Arabic letters", "tibetan": "Tibetan",
    "other": "none or other",
}  # fmt: skip
CROSSED: Final = {
    "reposts": "500 reposts or more",
    "views": "5,000 views or more",
    "either": "either threshold",
    "neither": "neither, as far as known",
}
SORTS: Final = {
    "-at": "latest loss first",
    "at": "earliest loss first",
    "-reposts": "most reposts first",
    "-views": "most views first",
}
REASONS: Final = {
    "platform": "The platform's own answer says that it removed the post.",
    "legal": "The platform's own answer names a legal demand.",
    "author": "The platform's own answer says that the author deleted the post.",
    "account": "The post went with its whole account.",
    "network": "The post was missing only from networks that block this platform.",
    "moved": "The post has another address now.",
    "unknown": "The post is gone, and no answer says why.",
    "open": "The answers leave several causes open. None of them is chosen here.",
}

MOMENTS: Final = {
    "published_at": "published, as the platform says",
    "first_seen_at": "first met here",
    "last_alive_at": "last proven there",
    "first_gone_at": "first seen gone",
    "judged_at": "judged",
}
AGAIN: Final = "answered again"


def group(causes: list[str]) -> str:
    """The class under which a loss is counted: its one cause, or "open"."""
    return causes[0] if len(causes) == 1 else "open" if causes else "unknown"
