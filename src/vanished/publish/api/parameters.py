"""What can be asked for: every parameter once, for reading a request and for the document.

In: the query of an address. Out: values, or a UsageError that names the parameter and what it
takes. A parameter that is not known or given twice is refused: a mistyped filter that is passed
over would give numbers of something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vanished.errors import UsageError
from vanished.publish.moments import parse_moment
from vanished.publish.shelf.filters import CHOICES, LONGEST_Q
from vanished.publish.shelf.reading import MOST_ROWS, ROWS
from vanished.reach.rules import Reach

WORDS: Final = "words"
"""Our own format of JSON Schema: a text that holds a letter, a digit or a character."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?", re.A)
_PLACE: Final = r"^-?[0-9]{1,18}\.[0-9]{1,18}$"
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.A)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `schema` is JSON Schema of its value; a path's parameter must be given."""

    name: str
    says: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string", "minLength": 1})
    in_path: bool = False

    @property
    def stated(self) -> dict[str, Any]:
        """As OpenAPI states it."""
        return {
            "name": self.name, "in": "path" if self.in_path else "query",
            "required": self.in_path, "description": self.says, "schema": dict(self.schema),
        }  # fmt: skip

    def checked(self, value: str) -> str:
        """`value` if it is one. Raises UsageError."""
        known = self.schema.get("enum")
        if known is not None and value not in known:
            raise UsageError(
                f"{self.name} '{value[:40]}' is not known; choose of {', '.join(known)}."
            )
        if self.schema.get("type") == "integer":
            low, high = self.schema["minimum"], self.schema["maximum"]
            if not _NUMBER.fullmatch(value) or not low <= int(value) <= high:
                raise UsageError(
                    f"{self.name} '{value[:40]}' is no number of {low} to {high}; give one."
                )
        if len(value) < self.schema.get("minLength", 0):
            raise UsageError(f"{self.name} is empty; leave it out or give a value.")
        if len(value) > self.schema.get("maxLength", 1 << 16):
            raise UsageError(
                f"{self.name} has {len(value)} characters; give {self.schema['maxLength']} at most."
            )
        if "pattern" in self.schema and not re.search(self.schema["pattern"], value, re.A):
            raise UsageError(f"{self.name} '{value[:40]}' is none; see openapi.json for its form.")
        return _moment(value.upper(), self.name) if self.schema is MOMENT else value


def _moment(value: str, name: str) -> str:
    if not _TIME.fullmatch(value):
        raise UsageError(
            f"{name} '{value[:40]}' is no date or time in UTC; write one such as 2026-11-01 or"
            " 2026-11-01T08:00:00Z."
        )
    parse_moment(value, name)
    return value


MOMENT: Final[Mapping[str, Any]] = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]
}


def _choice(name: str, says: str, known: Iterable[str], default: str = "") -> Parameter:
    schema: dict[str, Any] = {"type": "string", "enum": [*known]}
    return Parameter(name, says, {**schema, "default": default} if default else schema)


FILTER: Final = (
    Parameter(
        "q",
        "words, anywhere in title or text; two Chinese characters are enough",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_Q, "format": WORDS},
    ),
    Parameter("platform", "where it stood"),
    Parameter("account", "pseudonym of the account"),
    _choice("cause", "the only cause that the facts leave, or `open`: several", CHOICES["cause"]),
    _choice("may", "one of the causes that the facts leave", CHOICES["may"]),
    _choice("confidence", "how sure the verdict is", CHOICES["confidence"]),
    _choice("state", "what became of it", CHOICES["state"], "gone"),
    Parameter("since", "lost at or after this moment (UTC)", MOMENT),
    Parameter("until", "lost before this moment (UTC); a date counts as a whole day", MOMENT),
    _choice("script", "the writing that most of it is in", CHOICES["script"]),
    _choice("crossed", "500 reposts or 5,000 views, before the loss", CHOICES["crossed"]),
    Parameter("topic", "a topic of the observatory: any of its words"),
    Parameter("event", "id of an event: the days that it lasts"),
    _choice("sort", "the order", CHOICES["sort"], "-at"),
)
"""One for each field of `Filter`; a test compares."""
SPAN: Final = (
    Parameter("since", "from this moment (UTC); 30 days before the last look unless given", MOMENT),
    Parameter("until", "before this moment (UTC); a date counts as a whole day", MOMENT),
)
PAGE: Final = (
    Parameter("after", "where the page before ended", {"type": "string", "pattern": _PLACE}),
    Parameter(
        "rows",
        "how many rows at most",
        {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": ROWS},
    ),
)
PLATFORM: Final = (Parameter("platform", "only of this one"),)
NEXT_ACCOUNT: Final = (
    Parameter("after", "the last account of the page before"),
    PAGE[1],
)
MEASURED: Final = (
    Parameter("test", "name of the test"),
    Parameter("target", "what was asked for, as it is shown here"),
    Parameter("asn", "the network, such as AS64500"),
    Parameter("cc", "its country, such as ZZ"),
    _choice("state", "the verdict", (state.value for state in Reach)),
    Parameter("since", "measured at or after this moment (UTC)", MOMENT),
    Parameter("until", "measured before this moment (UTC); a date counts as a whole day", MOMENT),
)
POST: Final = (Parameter("post", "pseudonym of the post", in_path=True),)
ACCOUNT: Final = (Parameter("account", "pseudonym of the account", in_path=True),)


def read(known: Sequence[Parameter], given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The values of a query. Raises UsageError: a parameter is unknown, given twice, or wrong."""
    parameters = {one.name: one for one in known if not one.in_path}
    found: dict[str, str] = {}
    for name, value in given:
        if name not in parameters:
            some = ", ".join(parameters) or "none at all"
            raise UsageError(f"there is no parameter '{name[:40]}' here; there are: {some}.")
        if name in found:
            raise UsageError(f"{name} is given twice; give it once.")
        found[name] = parameters[name].checked(value)
    return found
