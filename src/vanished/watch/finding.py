"""One finding of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and the next step.

    A remark is nothing wrong: a choice that its operator should know the price of. It is told, and
    `doctor` exits with 0 all the same.
    """

    what: str
    where: str
    do: str
    remark: bool = False

    def facts(self) -> dict[str, object]:
        return {"what": self.what, "where": self.where, "do": self.do, "remark": self.remark}

    def text(self) -> str:
        said = f"{self.where}: {self.what}. {self.do[0].upper()}{self.do[1:]}."
        return f"Remark: {said}" if self.remark else said
