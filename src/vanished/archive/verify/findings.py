"""What a verification found: damage with its place, and what is proven under six headings.

The headings are the Berkeley Protocol's (OHCHR and UC Berkeley, 2020, HR/PUB/20/2). Under each
stands what these files prove by themselves, and what they cannot prove, whatever is in them: that
the platform really sent the bytes is never proven by us. Nothing is read or checked here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Heading(StrEnum):
    AUTHENTICITY = "authenticity"
    AVAILABILITY = "availability"
    IDENTITY = "identity"
    PERSISTENCE = "persistence"
    RENDERABILITY = "renderability"
    UNDERSTANDABILITY = "understandability"


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not what it must be. `leaf` is the index in the log, where it has one."""

    place: str
    what: str
    leaf: int | None = None

    def __str__(self) -> str:
        index = "" if self.leaf is None else f", leaf {self.leaf}"
        return f"{self.place}{index}: {self.what}"


@dataclass(slots=True)
class Verification:
    """The outcome for one folder, WACZ or receipt; `sound` says whether nothing was damaged."""

    subject: str
    damages: list[Damage] = field(default_factory=list)
    proven: dict[Heading, list[str]] = field(default_factory=lambda: {h: [] for h in Heading})
    open: dict[Heading, list[str]] = field(default_factory=lambda: {h: [] for h in Heading})

    @property
    def sound(self) -> bool:
        return not self.damages

    def proves(self, heading: Heading, sentence: str) -> None:
        self.proven[heading].append(sentence)

    def lacks(self, heading: Heading, sentence: str) -> None:
        self.open[heading].append(sentence)

    def damaged(self, place: str, what: str, leaf: int | None = None) -> None:
        self.damages.append(Damage(place, what, leaf))

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "subject": self.subject,
            "sound": self.sound,
            "damages": [asdict(damage) for damage in self.damages],
            "headings": {
                heading.value: {"proven": self.proven[heading], "not_proven": self.open[heading]}
                for heading in Heading
            },
        }

    def text(self) -> str:
        """For people: damage first."""
        lines = [f"{self.subject}: {'sound' if self.sound else 'DAMAGED'}"]
        lines += [f"  damaged: {damage}" for damage in self.damages]
        for heading in Heading:
            if self.proven[heading] or self.open[heading]:
                lines.append(heading.value.capitalize())
                lines += [f"  proven: {sentence}" for sentence in self.proven[heading]]
                lines += [f"  not proven: {sentence}" for sentence in self.open[heading]]
        return "\n".join(lines)


def say_what_bytes_cannot(verification: Verification) -> None:
    """The limits that hold for every proof of ours."""
    verification.lacks(
        Heading.AUTHENTICITY,
        "that the platform sent these bytes: the observatory held them by then and has not"
        " changed them since; against a lying observatory only a second one helps",
    )
    verification.lacks(
        Heading.IDENTITY,
        "who wrote a post: an account is known by its pseudonym, a person not at all",
    )
