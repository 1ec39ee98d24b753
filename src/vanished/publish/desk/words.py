"""What the facts are called on a page: causes, states, confidence, kinds of answers, rules.

In: the values that verdicts carry. Out: English words, which `tongues` translates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from markupsafe import Markup

from vanished.publish.tongues import Tongue

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


TITLES: Final = {
    "terms": "Rising words",
    "combinations": "Words together",
    "stories": "Stories",
    "campaigns": "Campaigns",
    "events": "Events",
    "timeline": "Reach and removals",
    "speed": "How fast posts go",
    "spread": "How far posts spread",
    "who": "How losses are spread over accounts",
    "overview": "What was watched, and what was lost",
}
QUESTIONS: Final = {
    "terms": "Which strings go with removal?",
    "combinations": "Which combinations go with removal, beyond their parts?",
    "stories": "What was told by several accounts, and what of it went?",
    "campaigns": "When did removals rise, and against what?",
    "events": "Was more removed around events that were named before?",
    "timeline": "What did networks stop while posts were removed?",
    "speed": "How long do posts live, and who ends them?",
    "spread": "Did posts vanish before or after many had seen them?",
    "who": "Do few bear most of the losses, and what follows?",
    "overview": "How much was lost, and to whom?",
}
COLUMNS: Final = {
    "posts": "posts", "accounts": "accounts", "lost": "posts lost", "removed": "removed",
    "share": "share", "low": "lower end", "high": "upper end", "group": "group", "cause": "cause",
    "age_h": "age in hours", "at_risk": "at risk", "losses": "losses", "fit": "fit",
    "text": "words", "tellings": "tellings", "first": "first met", "last": "last met",
    "term": "term", "forms": "forms", "log_odds": "log odds ratio", "q": "q value",
    "combination": "combination", "explained": "explained by its parts", "kind": "kind",
    "begin": "from (UTC)", "end": "until (UTC)", "targets": "against what",
    "control_share": "share of the others", "rise": "rise", "rise_low": "rise, lower end",
    "rise_high": "rise, upper end", "beside_gap": "beside a gap", "name": "name",
    "days_inside": "days inside", "rate_inside": "rate inside", "rate_else": "rate elsewhere",
    "ratio": "ratio", "p_shift": "p value (shift)", "p_block": "p value (blocks)",
    "higher": "higher", "target": "target", "network": "network", "state": "state",
    "layer": "layer", "mechanism": "mechanism", "measurements": "measurements",
    "contrary": "contrary", "removed_before": "removed before",
    "post_days_before": "post-days before", "removed_after": "removed after",
    "post_days_after": "post-days after", "value": "value", "p": "p value", "unit": "unit",
    "finding": "finding", "measure": "measure", "n": "number", "of": "of", "story": "story",
    "platform": "platform",
}  # fmt: skip
PARTS: Final = {
    "span": "Blocks by target", "change": "Changes", "day": "Days", "event": "Events by name",
    "all events": "All events together", "concentration": "How concentrated losses are",
    "after a removal": "After a removal",
}  # fmt: skip
"""Kinds of rows in one table; others stand under their own name."""
QUEUES: Final = {
    "several": "several causes possible",
    "contradictory": "answers contradict each other",
    "returned": "has returned",
    "unsure": "low confidence",
    "unknown": "cause unknown",
    "suspected": "seen gone, not confirmed",
    "everything": "everything",
}
DECISIONS: Final = {
    "confirm": "confirmed",
    "correct": "corrected",
    "withhold": "withheld from publications",
    "takedown-asked": "a takedown was asked for",
    "granted": "takedown granted",
    "refused": "takedown refused",
    "published": "published",
}
EVIDENCE: Final = {
    "first": "first met", "version": "a wording", "notice": "the notice", "returned": "its return",
    "import": "an import", "picture": "a picture", "measurement": "a measurement",
    "beside": "the post again, with nothing new",
}  # fmt: skip
CANARIES: Final = {
    "right": "right", "doubt": "wrong: what this way says is not believed",
    "none": "no right answer yet", "unguarded": "no canaries",
}  # fmt: skip
FAULTS: Final = {
    "timeout": "no answer in time", "dns": "its name led nowhere", "connect": "no connection",
    "tls": "no secure connection (TLS)", "refused": "an address that may not be asked",
    "rate_limited": "too many requests, says the platform", "server": "a fault of the server (5xx)",
    "forbidden": "refused (401, 403 or 407)", "captcha": "a captcha was asked for",
    "login_wall": "a login was asked for", "truncated": "the answer broke off",
    "too_large": "the answer was too large", "redirects": "sent on too often",
    "empty": "an empty answer", "unreadable": "an answer in a form that no rule knows",
}  # fmt: skip
VANTAGES: Final = {"here": "from here"}
VIAS: Final = {"direct": "asked directly", "timeline": "seen in a list", "import": "an import"}
PLACES: Final = {
    "account": "account", "platform": "platform", "host": "host", "source": "source",
}  # fmt: skip
"""Kinds of what the doctor speaks of."""
_PLACE: Final = re.compile(r"(?:(\S+) )?(account|platform|host|source) (\S+)")


def fault(tongue: Tongue, name: str) -> str:
    """Why a look failed, in words."""
    return tongue.say(FAULTS.get(name, "")) or name


def way(tongue: Tongue, vantage: str, via: str = "") -> str:
    """From where a look was made, and how; a vantage that has a name of its own keeps it."""
    parts = [tongue.say(VANTAGES.get(vantage, "")) or vantage]
    if via:
        parts.append(tongue.say(VIAS.get(via, "")) or via)
    return (", " if tongue.tag == "en" else "，").join(parts)


def place(tongue: Tongue, where: str) -> str:
    """What a finding of the doctor is about: its kind in the reader's language, its name as is."""
    found = _PLACE.fullmatch(where)
    if found is None:
        return where
    before, kind, name = found.groups("")
    return " ".join(filter(None, (before, tongue.say(PLACES[kind]), name)))


def group(causes: list[str]) -> str:
    """The class under which a loss is counted: its one cause, or "open"."""
    return causes[0] if len(causes) == 1 else "open" if causes else "unknown"


def causes_shown(tongue: Tongue, causes: Sequence[str]) -> Markup:
    """Causes as a page says them: each with its sign, "or" between them; a dash for none."""
    return _causes_shown(tongue, tuple(causes or ()))


@lru_cache(256)  # a list says the same few over and over
def _causes_shown(tongue: Tongue, causes: tuple[str, ...]) -> Markup:
    if not causes:
        return Markup("–")
    said = (
        Markup('<span class="sign" aria-hidden="true">{}</span>{}').format(
            SIGNS[cause], tongue.say(SHORT[cause])
        )
        for cause in causes
    )
    return Markup(" {} ").format(tongue.say("or")).join(said)
