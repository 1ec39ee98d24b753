"""Network measurements: what gets through, how the rest is stopped, in OONI's language."""
