"""What a test needs from the machine: there, or a skip that says what to install.

With CI=true a missing need fails instead, so that no green run hides a test that never ran.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"
_SYSTEM = "/usr/sbin:/sbin"  # where Debian puts servers, outside an ordinary user's PATH


def missing(what: str) -> NoReturn:
    """Skip this test for want of `what`; fail where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; CI=true lets no test be skipped", pytrace=False)
    pytest.skip(what)


def needs_program(name: str, debian_package: str) -> str:
    """The path of the program `name`, which `debian_package` has."""
    path = os.environ.get("PATH", os.defpath) + os.pathsep + _SYSTEM
    found = shutil.which(name, path=path)
    if found is None:
        missing(f"the program '{name}' is not here: apt-get install {debian_package}")
    return found


def needs_shared(name: str) -> Path:
    """The file or folder `name` of the real data that lies beside the checkout.

    Always a skip where it is absent: the data has its own licences and is not ours to ship.
    """
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real data '{name}' is not beside this checkout")
    return path
