"""Facts to verdicts, by pure functions: no I/O, no clock, no randomness."""
