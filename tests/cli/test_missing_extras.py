"""Without an extra every command says what to install: no newcomer is shown a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from vanished.cli.lacking import MODULES, lacking

_CHILD = """
import contextlib, io, json, sys, traceback
from importlib.abc import MetaPathFinder
from pathlib import Path

hidden = set(sys.argv[1].split())


class Hide(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Hide())
from typer.main import get_command
from vanished.cli import app, main

LEFT = {"demo", "lab clean"}  # a month, and processes of others
MORE = {
    "add": ["nosuch", "x"], "reach test": ["https://example.com/", "--dry-run"],
    "reach apps": ["signal", "--dry-run"], "reach advise": ["around.toml", "--dry-run"],
    "reach serve": ["--config", "nowhere"], "reach submit": ["measured.jsonl"],
}


def commands(command, path=()):
    below = getattr(command, "commands", {})
    if not below:
        yield " ".join(path), command
    for name, one in below.items():
        yield from commands(one, (*path, name))


def words(name, command):
    made = list(MORE.get(name, ()))
    for one in command.params if not made else ():
        if one.required:
            value = "1" if "INT" in str(one.type) else "measured.jsonl"
            flag = one.opts[0]
            made += [flag] if "BOOL" in str(one.type) else [value]
            if flag.startswith("--") and "BOOL" not in str(one.type):
                made.insert(-1, flag)
    has_folder = any("--observatory" in one.opts for one in command.params)
    return [*name.split(), *made, *(["-o", "o"] if has_folder else [])]


def run(asked):
    sys.argv = ["vanished", *asked]
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            main()
    except SystemExit as end:
        return end.code or 0, told.getvalue()
    except BaseException:
        return "traceback", traceback.format_exc()
    return 0, told.getvalue()


done = {"init": run(["init", "o"])}
for name, command in commands(get_command(app)):
    if name not in LEFT and name != "init":
        done[name] = run(words(name, command))
print(json.dumps(done))
"""
_REACH = ("read", "keep", "judge", "submit", "test", "apps", "advise")


def _run(cwd: Path, hidden: str) -> dict[str, tuple[int | str, str]]:
    (cwd / "measured.jsonl").write_text("{}\n")
    (cwd / "around.toml").write_text(
        '[[goaround]]\nname = "a"\nkind = "socks"\nproxy = "socks5h://127.0.0.1:9"\n'
    )
    home = {"VANISHED_KEY": "ab" * 32, "XDG_CONFIG_HOME": str(cwd), "VANISHED_LANGUAGE": "en"}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, hidden],
        cwd=cwd, env={**os.environ, **home}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[int | str, str]] = json.loads(done.stdout)
    return found


def test_no_command_ends_in_a_traceback_where_no_extra_is_installed(tmp_path: Path) -> None:
    found = _run(tmp_path, " ".join(name for names in MODULES.values() for name in names))
    assert len(found) > 45
    assert {name: told for name, (code, told) in found.items() if code == "traceback"} == {}
    for name in _REACH:
        code, told = found[f"reach {name}"]
        assert (code, "pip install 'vanished[reach]'" in told) == (2, True), (name, told)
    code, told = found["explain overview"]
    assert (code, "pip install 'vanished[explain]'" in told) == (2, True), told


def test_a_module_of_no_extra_is_a_mistake_of_ours() -> None:
    assert lacking(ModuleNotFoundError("no", name="vanished.nothing")) is None
    told = lacking(ModuleNotFoundError("no", name="opencc.clib"))
    assert told is not None
    assert "pip install -e '.[explain]'" in str(told)


def test_every_package_of_an_extra_has_its_module_here() -> None:
    """A package that is added to an extra later must be named, too."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    modules = {
        distribution.lower(): module
        for module, distributions in packages_distributions().items()
        for distribution in distributions
        if not module.startswith("_")
    }
    known = {name for names in MODULES.values() for name in names}
    extras = project["project"]["optional-dependencies"]
    packages = {one.partition(">=")[0] for wanted in extras.values() for one in wanted}
    assert {one for one in packages if modules.get(one, one) not in known} == set()
