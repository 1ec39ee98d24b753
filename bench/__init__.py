"""Benchmarks: what the project claims in figures, measured against peers on the same machine.

`python -m bench [NAME]` runs them; docs/benchmarks.md says what each measures and how to add one.
"""
