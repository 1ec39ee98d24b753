"""Facts to verdicts, by pure functions: no I/O, no clock, no randomness."""

from vanished.judge.settings import DEFAULT, JudgeSettings
from vanished.judge.trust import BLIND, Check, NetworkWord, Span, Standing, Trust
from vanished.judge.verdict import METHOD, judge, next_look_s

__all__ = [
    "BLIND",
    "DEFAULT",
    "METHOD",
    "Check",
    "JudgeSettings",
    "NetworkWord",
    "Span",
    "Standing",
    "Trust",
    "judge",
    "next_look_s",
]
