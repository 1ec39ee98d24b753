"""The journal's list of the segments that count, in `manifest.json`.

In: segments and the last record that they hold. Out: one file, replaced as a whole or not at all.
A segment that the manifest does not list was never written, as far as a reader can tell.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from vanished.archive.durable import write_atomically
from vanished.errors import DamagedError, ObservatoryError, StorageError
from vanished.model import Micros

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Segment:
    """One Parquet file as the manifest describes it. `path` is relative to the journal."""

    path: str
    table: str
    rows: int
    looks: int  # sum over the rows; 0 in tables without looks
    first: Micros | None
    last: Micros | None
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All segments that count; `upto` is the last acknowledged record that they hold.

    `forgotten` counts the looks that the journal ever dropped, so that a crash in the middle of
    forgetting takes none off twice. `sealed` says that no segment names an address in the clear, as
    those of the first versions of this program did.
    """

    upto: int
    segments: tuple[Segment, ...]
    forgotten: int = 0
    sealed: bool = False

    @property
    def looks(self) -> int:
        """How many looks the segments hold."""
        return sum(segment.looks for segment in self.segments)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the journal in `folder`.

    Raises DamagedError where it is missing or unreadable, ObservatoryError where a later format
    wrote it.
    """
    path = folder / MANIFEST
    try:
        written = json.loads(path.read_bytes())
        version = written["format"]
        if version == FORMAT:
            segments = tuple(Segment(**segment) for segment in written["segments"])
            return Manifest(
                int(written["upto"]),
                segments,
                int(written.get("forgotten", 0)),
                bool(written.get("sealed", False)),
            )
    except FileNotFoundError:
        raise DamagedError(
            f"the journal's manifest {path} is missing; restore it from a backup"
        ) from None
    except OSError as error:
        raise StorageError(f"could not read {path}: {error.strerror}; check the disk") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(
            f"the journal's manifest {path} cannot be read ({error}); restore it from a backup"
        ) from error
    raise ObservatoryError(
        f"the journal {folder} has format {version}, this version of vanished reads {FORMAT}; "
        f"use the version that wrote it"
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put `manifest` in place of the one before it, as JSON with one segment a line."""
    lines = ",\n".join(json.dumps(asdict(segment)) for segment in manifest.segments)
    facts = {"format": FORMAT, **asdict(replace(manifest, segments=()))}
    del facts["segments"]
    written = f'{json.dumps(facts)[:-1]}, "segments": [\n{lines}\n]}}\n'
    write_atomically(folder / MANIFEST, written.encode())
