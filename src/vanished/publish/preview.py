"""A dry run of a publication: what would leave, what would stay, and why, with counts.

In: a `Release`. Out: facts and text for the operator. It names posts by the observatory's own keys,
so it is not to be published; nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vanished.clock import span
from vanished.publish.release import Release


@dataclass(frozen=True, slots=True)
class Preview:
    """What `publish dataset` would do. `rows` is how many withheld posts to list."""

    release: Release
    requests: Mapping[str, int]  # to take down, by state
    rows: int

    def facts(self) -> dict[str, object]:
        release = self.release
        return {
            "release": release.name,
            "posts": len(release.rows),
            "of_posts": len(release.rows) + len(release.withheld),
            "withheld": release.why(),
            "with_words": len(release.with_words),
            "grounds": release.grounds(),
            "without_words": release.why_no_words(),
            "times_rounded_to_s": release.widths(),
            "numbers": len(release.numbers),
            "numbers_withheld": sum(bool(row["withheld"]) for row in release.numbers),
            "notices": len(release.notices),
            "coverage": len(release.coverage),
            "takedowns": dict(self.requests),
            "k": release.rules.k,
            "round_s": release.rules.round_s,
            "list": [
                {"post": one.post, "outcome": one.fate.name.lower(), "why": one.why.value}
                for one in release.withheld[: self.rows]
            ],
        }

    def text(self) -> str:
        release = self.release
        total = len(release.rows) + len(release.withheld)
        lines = [f"Release {release.name} would tell of {len(release.rows)} of {total} posts."]
        lines += [f"  {number:>9,} stay: {why}" for why, number in release.why().items()]
        lines.append(f"{len(release.with_words)} would leave with their words.")
        lines += [f"  {n:>9,} by the ground {ground}" for ground, n in release.grounds().items()]
        lines += [f"  {n:>9,} without: {why}" for why, n in release.why_no_words().items()]
        lines.append("Times would be rounded, so that nobody stands alone:")
        for width, number in release.widths().items():
            lines.append(f"  {number:>9,} {f'to {span(width)}' if width else 'away: none is told'}")
        hidden = sum(bool(row["withheld"]) for row in release.numbers)
        lines.append(
            f"{len(release.numbers)} numbers, {hidden} of them withheld (k = {release.rules.k});"
            f" {len(release.notices)} notices; {len(release.coverage)} stretches of coverage."
        )
        states = ", ".join(f"{n} {state}" for state, n in self.requests.items())
        lines.append(f"Requests to take down: {states or 'none'}.")
        lines += [
            f"  {one.post}  {one.fate.name.lower():9}  {one.why.value}"
            for one in release.withheld[: self.rows]
        ]
        return "\n".join(lines)
