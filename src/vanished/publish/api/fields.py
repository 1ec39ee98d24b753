"""What a row says, field by field: stated once for answers, exports, their schemas and Arrow.

In: rows of the shelf, with times in microseconds. Out: the same as JSON carries them (ISO 8601 in
UTC). A field that is not stated here does not leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vanished.model import Cause, Confidence, State
from vanished.publish.moments import iso


class Kind(StrEnum):
    """What a field's values are."""

    TEXT = "text"
    WHOLE = "whole"  # a count
    TIME = "time"
    FLAG = "flag"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row; `optional` ones may be null."""

    name: str
    kind: Kind
    says: str
    optional: bool = False
    known: Sequence[str] = ()  # all values that there are, where that is known

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema (2020-12) states it."""
        kinds: dict[Kind, dict[str, Any]] = {
            Kind.TEXT: {"type": "string"}, Kind.WHOLE: {"type": "integer"},
            Kind.TIME: {"type": "string", "format": "date-time"},
            Kind.FLAG: {"type": "boolean"},
            Kind.TEXTS: {"type": "array", "items": {"type": "string"}},
        }  # fmt: skip
        found = {**kinds[self.kind], "description": self.says}
        if self.known and self.kind is Kind.TEXTS:
            found["items"] = {"type": "string", "enum": [*self.known]}
        elif self.known:
            found["enum"] = [*self.known, *([None] if self.optional else [])]
        if self.optional:
            found["type"] = [found["type"], "null"]
        return found


def _text(name: str, says: str, **more: Any) -> Field:
    return Field(name, Kind.TEXT, says, **more)


def _maybe(name: str, says: str) -> Field:
    return Field(name, Kind.TEXT, says, optional=True)


def _time(name: str, says: str, optional: bool = False) -> Field:
    return Field(name, Kind.TIME, says, optional)


def _whole(name: str, says: str, optional: bool = False) -> Field:
    return Field(name, Kind.WHOLE, says, optional)


CAUSES: Final = tuple(cause.value for cause in Cause)
STATES: Final = tuple(state.value for state in State)
LOSS: Final = (
    _text("post", "pseudonym of the post"),
    _text("account", "pseudonym of its account"),
    _text("platform", "where it stood"),
    _text("state", "what became of it", known=STATES),
    Field("causes", Kind.TEXTS, "every cause that the facts leave open", known=CAUSES),
    _text("confidence", "how sure the verdict is", known=tuple(c.value for c in Confidence)),
    _time("published_at", "when it was published, as the platform says", optional=True),
    _time("first_seen_at", "when we met it"),
    _time("last_alive_at", "when it was last proven there", optional=True),
    _time("first_gone_at", "when it was first seen gone", optional=True),
    _time("judged_at", "when the verdict was reached"),
    _maybe("explained_by", "what else was lost that explains it, by pseudonym"),
    _text("notice", "the platform's own words on it"),
    Field("rules", Kind.TEXTS, "the rules that fired, each with its version"),
    Field("conflicts", Kind.TEXTS, "what speaks against the verdict"),
    _text("method", "name and version of the judging method"),
    _whole("looks", "how often we looked: the denominator of everything said of it"),
    _whole("failed", "looks among them that failed; they prove nothing"),
    _whole("reposts", "as last shown before the loss, at least", optional=True),
    _whole("views", "as last shown before the loss, at least", optional=True),
    _text("script", "the writing that most of it is in"),
    Field("withheld", Kind.FLAG, "its author may have taken it down: no words of it are given"),
    _maybe("title", "its latest title; null where it is withheld"),
    _maybe("text", "its latest text; null where it is withheld"),
)  # fmt: skip
WORDING: Final = (
    _time("seen_at", "when this wording was first seen"),
    _text("hash", "SHA-256 or another digest of the wording"),
    _maybe("title", "null where it is withheld"),
    _maybe("text", "null where it is withheld"),
)
LOOK: Final = (
    _time("asked_at", "the first of these looks"),
    _time("last_answered_at", "the answer to the last of them"),
    _whole("looks", "looks in a row with this same answer"),
    _text("kind", "what the answer proves"),
    Field("causes", Kind.TEXTS, "causes that this answer leaves open", known=CAUSES),
    _maybe("rule", "the rule that read the answer"),
    _maybe("fault", "why the look failed"),
    _whole("status", "HTTP status", optional=True),
    _maybe("via", "the way out that was taken"),
    _maybe("vantage", "where we looked from"),
    _maybe("version", "hash of the wording that was shown"),
    _maybe("capture", "leaf of the log that holds the bytes"),
    _whole("reposts_low", "reposts, at least", optional=True),
    _whole("reposts_high", "reposts, at most", optional=True),
    _whole("views_low", "views, at least", optional=True),
    _whole("views_high", "views, at most", optional=True),
    _maybe("words", "the platform's own words"),
)
ACCOUNT: Final = (
    _text("account", "its pseudonym"),
    _text("platform", "where it is"),
    _time("added_at", "since when it is watched"),
    _text("state", "what became of it", known=STATES),
    Field("causes", Kind.TEXTS, "causes that the facts leave open, if it is lost", known=CAUSES),
    _text("notice", "the platform's own words on it"),
    _time("last_alive_at", "when it was last proven there", optional=True),
    _time("first_gone_at", "when it was first seen gone", optional=True),
    _whole("posts", "its posts that we met: the denominator of `lost`"),
    _whole("lost", "its posts that are gone"),
)
MEASUREMENT: Final = (
    _text("digest", "SHA-256 of the record without any verdict"),
    _time("measured_at", "when it was measured"),
    _text("asn", "the network, such as AS64500"),
    _text("cc", "its country"),
    _text("test", "name of the test"),
    _text("target", "what was asked for; a pseudonym where it would name somebody"),
    _text("state", "the verdict"),
    _maybe("layer", "where it was stopped"),
    _maybe("mechanism", "how"),
    _text("extent", "how much of it"),
    Field("rules", Kind.TEXTS, "the rules that fired, the deciding one first"),
    _text("ruleset", "version of the rules"),
    _text("capture", "leaf of the log that holds the record"),
)
PLATFORM: Final = (
    _text("platform", "its name"),
    _whole("accounts", "accounts that are watched on it"),
    _whole("posts", "posts that we met: the denominator of `lost`"),
    _whole("lost", "posts that are gone"),
)
GAP: Final = (
    _time("since", "from when nothing was watched"),
    _time("until", "until when"),
    _text("why", "why not"),
)


def carried(fields: Sequence[Field], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON carries it: these fields and no others, in this order."""
    return {field.name: _value(field.kind, row[field.name]) for field in fields}


def _value(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    if kind is Kind.TIME:
        return iso(value)
    if kind is Kind.TEXTS and isinstance(value, str):
        return [each for each in value.split(",") if each]
    return bool(value) if kind is Kind.FLAG else value


def schema_of(fields: Sequence[Field], says: str) -> dict[str, Any]:
    """A row of these fields as JSON Schema states it."""
    return object_of({field.name: field.schema for field in fields}, says)


def object_of(properties: Mapping[str, Any], says: str) -> dict[str, Any]:
    """An object that has all of these and nothing else."""
    return {
        "type": "object", "description": says, "properties": dict(properties),
        "required": [*properties], "additionalProperties": False,
    }  # fmt: skip
