"""Templates in one language, for pages from a server and pages in files.

In: a language, the packages that hold templates. Out: a Jinja environment that escapes everything
and refuses names that it does not know. What a template was compiled to is the same in every
language, so it is compiled once.
"""

from __future__ import annotations

from types import CodeType
from typing import Final

from jinja2 import (
    BytecodeCache,
    ChoiceLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)
from jinja2.bccache import Bucket

from vanished.publish.tongues import catalogue


class _Compiled(BytecodeCache):
    """What templates of this process were compiled to."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._held.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._held[bucket.key, bucket.checksum] = bucket.code


_COMPILED: Final = _Compiled()


def environment(tag: str, *packages: str) -> Environment:
    """Templates of `packages`, the first that has one, in the language `tag`."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        bytecode_cache=_COMPILED,
    )
    made.install_gettext_translations(catalogue(tag), newstyle=True)  # type: ignore[attr-defined]
    return made
