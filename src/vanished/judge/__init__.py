"""Facts to verdicts, by pure functions: no I/O, no clock, no randomness."""

from vanished.judge.settings import DEFAULT, JudgeSettings
from vanished.judge.verdict import METHOD, judge, next_look_s

__all__ = ["DEFAULT", "METHOD", "JudgeSettings", "judge", "next_look_s"]
