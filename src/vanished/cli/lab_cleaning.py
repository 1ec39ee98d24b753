"""Commands about the network lab: whether it can run here, and what a killed one left."""

from __future__ import annotations

import typer

from vanished.cli.app import Json, lab, say


@lab.command(epilog="Example: vanished lab check")
def check(as_json: Json = False) -> None:
    """Say whether a network lab can be made here, and what it would lack; exit 1 if it cannot."""
    from vanished.lab.goaround_tor import PROGRAMS
    from vanished.lab.goarounds import KINDS, absent
    from vanished.lab.network import has_quic, why_not

    reason, quic = why_not(), has_quic()
    programs = {**{name: kind.programs for name, kind in KINDS.items()}, "tor": PROGRAMS}
    lacking = {name: packages for name, of in programs.items() if (packages := absent(of))}
    lines = [f"No network lab here: {reason}." if reason else "A network lab can be made here."]
    if not quic:
        lines.append("It has no QUIC servers: pip install 'vanished[reach]'.")
    for name, packages in lacking.items():
        lines.append(f"Its go-around {name} needs: apt-get install {' '.join(packages)}")
    facts = {"possible": reason is None, "reason": reason, "quic": quic, "lacking": lacking}
    say(facts, "\n".join(lines), as_json)
    if reason is not None:
        raise typer.Exit(1)


@lab.command(epilog="Example: vanished lab clean")
def clean(as_json: Json = False) -> None:
    """Remove what killed network labs of this user left; labs that are in use are left alone.

    Exit 1 if something of one is still there.
    """
    from vanished.lab.network import clean as cleaned

    left = cleaned()
    text = "\n".join(one.text() for one in left) or "Nothing of a killed network lab is here."
    say({"labs": [one.facts() for one in left]}, text, as_json)
    if not all(one.removed for one in left):
        raise typer.Exit(1)
