"""The command line: one command a verb, each a few lines over one room.

Exit codes: 0 ok, 1 findings of `doctor` or damage that `verify` found, 2 wrong use, 3 broken
observatory. Results go to standard output, progress and complaints to standard error, so that piped
output stays clean.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

# isort: off
# Importing a module adds its commands, in the order in which --help lists them.
from vanished.cli import (
    observing,
    reading,
    explaining,
    measuring,
    reaching,
    keeping_reach,
    advising,
    showing,
    publishing,
    alerting,
    lab_cleaning,
    proving,
)

# isort: on
from vanished.cli.app import app, err
from vanished.cli.lacking import lacking
from vanished.cli.tongue import ENGLISH, asked, said, speaking
from vanished.errors import VanishedError

__all__ = [
    "advising",
    "alerting",
    "app",
    "explaining",
    "keeping_reach",
    "lab_cleaning",
    "main",
    "measuring",
    "observing",
    "proving",
    "publishing",
    "reaching",
    "reading",
    "showing",
]


def main() -> None:
    """Entry point: errors of ours become one sentence and their exit code."""
    with speaking(asked(sys.argv[1:], os.environ)) as tag:
        try:
            if tag == ENGLISH:
                app()
            from vanished.cli.help_shown import run

            sys.exit(run(app))
        except VanishedError as error:
            _refuse(error)
        except ModuleNotFoundError as error:
            told = lacking(error)
            if told is None:
                raise
            _refuse(told)


def _refuse(error: VanishedError) -> NoReturn:
    err.print(said(f"vanished: {error}"), markup=False, soft_wrap=True)
    sys.exit(error.exit_code)
