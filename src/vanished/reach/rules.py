"""The rules of the verdict as data: from the names of facts to a state, a layer and a mechanism.

In: rules.toml, and the facts that hold. Out: the rule that decides and the others that hold. A rule
cannot do more than name facts; what a fact is stands in `reach.facts`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from vanished.errors import ConfigError


class Reach(StrEnum):
    """What a target's verdict says. `INSUFFICIENT` is not `OK`."""

    BLOCKED = "blocked"  # an artefact, or a contrast that was repeated
    LIKELY_BLOCKED = "likely_blocked"  # a contrast that was seen once
    IMPAIRED = "impaired"  # reached, but slowly, sometimes, or with something in the way
    DOWN = "down"  # the control fails, too
    OK = "ok"
    INSUFFICIENT = "insufficient"


LAYERS = ("dns", "ip", "tls", "sni", "http", "quic", "throughput", "protocol")


@dataclass(frozen=True, slots=True)
class Rule:
    """If all of `all_of` and none of `none_of` hold, the verdict is as said."""

    id: str
    all_of: frozenset[str]
    none_of: frozenset[str]
    state: Reach
    layer: str | None
    mechanism: str | None
    says: str
    of_parts: bool = False  # layer and mechanism are those of the servers that show the facts
    of_flight: bool = False  # the mechanism is what the first bytes look like that are stopped

    def holds(self, facts: Set[str]) -> bool:
        """Whether the rule applies where exactly `facts` hold."""
        return self.all_of <= facts and not self.none_of & facts


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules, the first that holds decides."""

    version: str
    rules: tuple[Rule, ...]

    def holding(self, facts: Iterable[str]) -> list[Rule]:
        """The rules that hold, the deciding one first; never empty."""
        names = frozenset(facts)
        return [rule for rule in self.rules if rule.holds(names)]


def load(text: str, known: Collection[str]) -> Ruleset:
    """Rules from TOML. Raises ConfigError if one names a fact that is not `known`."""
    held = tomllib.loads(text)
    rules = tuple(_rule(one, known) for one in held["rule"])
    if len({rule.id for rule in rules}) != len(rules):
        raise ConfigError("rules.toml: two rules have the same id")
    if rules[-1].all_of or rules[-1].none_of:
        raise ConfigError("rules.toml: the last rule has to hold always")
    return Ruleset(held["version"], rules)


def _rule(held: dict[str, object], known: Collection[str]) -> Rule:
    name = str(held.get("id"))
    all_of, none_of = (frozenset(_names(held.get(key, []))) for key in ("all", "none"))
    unknown = (all_of | none_of) - set(known)
    if unknown:
        raise ConfigError(f"rules.toml: rule '{name}' names no known fact: {sorted(unknown)[0]}")
    layer, mechanism = held.get("layer"), held.get("mechanism")
    if layer is not None and layer not in LAYERS:
        raise ConfigError(f"rules.toml: rule '{name}' names no known layer: {layer}")
    return Rule(
        id=name,
        all_of=all_of,
        none_of=none_of,
        state=Reach(str(held["state"])),
        layer=None if layer is None else str(layer),
        mechanism=None if mechanism is None else str(mechanism),
        says=str(held["says"]),
        of_flight=held.get("of_flight") is True,
        of_parts=held.get("of_parts") is True,
    )


def _names(held: object) -> list[str]:
    return [str(one) for one in held] if isinstance(held, list) else []


@cache
def ruleset() -> Ruleset:
    """The rules of rules.toml."""
    from vanished.reach.facts import FACTS  # facts import the settings, rules only names

    return load(files("vanished.reach").joinpath("rules.toml").read_text("utf-8"), FACTS)
