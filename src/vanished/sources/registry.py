"""Which source answers to which name. A new platform adds one line here."""

from __future__ import annotations

from collections.abc import Mapping

from vanished.archive.settings import Settings
from vanished.errors import UnknownPlatformError
from vanished.sources import Naming, Source


def source(platform: str, naming: Naming, settings: Settings) -> Source:
    """The source of `platform` with its table of observatory.toml.

    The imports are here so that `vanished --help` does not load a parser for every platform.
    """
    own = settings.sources.get(platform, {})
    match platform:
        case "page":
            from vanished.sources.page import PageSource

            return PageSource(naming, own)
        case "feed":
            from vanished.sources.feed import FeedSource

            return FeedSource(naming, own)
        case "matrix":
            from vanished.sources.matrix import MatrixSource

            return MatrixSource(naming, own)
    raise UnknownPlatformError(
        f"No source is called '{platform}'; there are: {', '.join(PLATFORMS)}."
    )


PLATFORMS = ("feed", "matrix", "page")


def sources(platforms: set[str], naming: Naming, settings: Settings) -> Mapping[str, Source]:
    """The sources that an observatory with accounts on `platforms` needs."""
    return {
        platform: source(platform, naming, settings)
        for platform in sorted(platforms & set(PLATFORMS))
    }
