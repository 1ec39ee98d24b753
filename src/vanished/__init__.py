"""Vanished: an observatory of censorship on messaging apps and microblogs."""

__version__ = "0.1.0"
