"""One finding of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and the next step."""

    what: str
    where: str
    do: str

    def facts(self) -> dict[str, str]:
        return {"what": self.what, "where": self.where, "do": self.do}

    def text(self) -> str:
        return f"{self.where}: {self.what}. {self.do[0].upper()}{self.do[1:]}."
