"""Every error that Vanished raises on purpose, as one tree.

    VanishedError
    ├── UsageError            exit 2: what the user gave cannot be used
    │   ├── ConfigError           a key or value in observatory.toml, with file and line
    │   ├── InputError            a file to import, with file and line
    │   └── UnknownPlatformError  no source of that name
    ├── EvidenceError         exit 1: the evidence does not hold
    └── ObservatoryError      exit 3: the folder cannot be worked on
        ├── NotAnObservatoryError
        ├── LockedError           another process is writing here
        ├── DamagedError          a file is missing or is not what the manifest says
        └── StorageError          the disk is full, read-only or failing

The text of an error is one sentence for the person who will read it: what was tried, what came
back, what to do. A look that fails is not an exception: it is a `Signal` of kind `error`.
"""

from __future__ import annotations


class VanishedError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 2


class UsageError(VanishedError):
    """What the user gave cannot be used."""

    exit_code = 2


class ConfigError(UsageError):
    """observatory.toml says something that we cannot follow."""


class InputError(UsageError):
    """A file to import is not what it should be."""


class UnknownPlatformError(UsageError):
    """No source answers to that name."""


class EvidenceError(VanishedError):
    """A proof, signature or statement of evidence does not hold, or is none."""

    exit_code = 1


class ObservatoryError(VanishedError):
    """The observatory's folder cannot be worked on."""

    exit_code = 3


class NotAnObservatoryError(ObservatoryError):
    """The folder holds no observatory."""


class LockedError(ObservatoryError):
    """Another process is writing to this observatory."""


class DamagedError(ObservatoryError):
    """A file of the observatory is missing or is not what its manifest says."""


class StorageError(ObservatoryError):
    """The disk refused to keep what we gave it."""
