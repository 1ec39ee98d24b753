"""The documentation says what is so: a newcomer types what stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer import Typer

from vanished.cli import app

ROOT = Path(__file__).parent.parent


def names(typer_app: Typer) -> set[str]:
    """The commands of an app, those of its groups with the group's name before them."""
    found = {
        command.name or (command.callback.__name__ if command.callback else "")
        for command in typer_app.registered_commands
    }
    for group in typer_app.registered_groups:
        assert group.typer_instance is not None
        found |= {f"{group.name} {name}" for name in names(group.typer_instance)}
    return found


COMMANDS = names(app)


def test_the_command_reference_is_what_the_command_line_says() -> None:
    words = ["-m", "typer", "vanished.cli", "utils", "docs", "--name", "vanished"]
    done = subprocess.run(
        [sys.executable, *words, "--title", "Commands"],
        capture_output=True,
        text=True,
        check=True,
    )
    written = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert written.strip() == done.stdout.strip(), "run: make docs"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_an_example_and_json(name: str) -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    section = text.split(f" `vanished {name}`\n")[1]
    section = re.split(r"\n##+ `vanished", section)[0]
    assert f"Example: vanished {name}" in section
    assert "--json" in section


def test_the_readme_names_only_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = {
        f"{first} {second}" if f"{first} {second}" in COMMANDS else first
        for first, second in re.findall(r"^vanished ([a-z]+) ?([a-z]*)", text, flags=re.MULTILINE)
    }
    assert used >= {"init", "add", "import", "watch", "report", "verify", "doctor"}
    assert used <= COMMANDS
    targets = set(re.findall(r"make ([a-z]+)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    assert len(pages) > 4
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_file_names_an_index_host_or_a_machine() -> None:
    """A lock that names a host cannot be used behind another mirror."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    hosts = re.compile(
        "|".join(["python" + "hosted", "py" + r"pi\.org", "npm" + r"js\.", "/wo" + "rk/"])
    )
    wrong = [
        name
        for name in listed
        if (ROOT / name).is_file()
        and hosts.search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert not wrong
