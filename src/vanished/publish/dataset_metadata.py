"""What goes along with a data set: dictionary, citation, package description, a page to read first.

In: a `Release` and the tables that are written. Out: texts by file name, the same for the same
release. Forms: Data Package v1 with Table Schema (Frictionless), Citation File Format 1.2.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vanished import __version__
from vanished.archive.settings_template import toml_of
from vanished.model import at
from vanished.publish.dataset_tables import TableOf
from vanished.publish.release import METHODS, Release

PACKAGE: Final = "datapackage.json"
CITATION: Final = "CITATION.cff"
DICTIONARY: Final = "dictionary.json"
DICTIONARY_PAGE: Final = "dictionary.md"
README: Final = "README.md"
CREATED_WITH: Final = f"Vanished {__version__}"
CAVEATS: Final = (
    "All of this is about watched accounts, which somebody chose. Nothing is said of others.",
    "What is called lost was proven alive, or met gone, by this observatory. It proves what it was"
    " answered and when, never who decided.",
    "Posts whose authors took them down, or may have, are counted in numbers and told in no row.",
    "Rows were left out where fewer accounts than k stand behind what they would tell. Take shares"
    " from the table numbers, not from counts of rows.",
    "Pseudonyms are of this release alone. Do not try to find out who is behind them.",
)

Kept = Mapping[str, bytes]


def texts(release: Release, tables: Sequence[tuple[TableOf, int]], files: Kept) -> dict[str, str]:
    """Everything but the tables and the manifest. `tables` come with how many rows each has."""
    kinds = [table for table, _ in tables]
    return {
        README: _readme(release, tables),
        DICTIONARY_PAGE: _page(kinds),
        DICTIONARY: _json([_entry(table) for table in kinds]),
        PACKAGE: _json(_package(release, kinds, files)),
        CITATION: _citation(release),
    }


def title(release: Release) -> str:
    """The title, without a full stop."""
    return release.rules.title or f"What vanished: release {release.name}"


def day(release: Release) -> str | None:
    """The last day of which something was known."""
    return None if release.until is None else at(release.until).date().isoformat()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _entry(table: TableOf) -> dict[str, Any]:
    return {
        "table": table.name,
        "row": table.row,
        "columns": [
            {"name": c.name, "type": c.type, "meaning": c.meaning, "empty": c.empty or None}
            for c in table.columns
        ],
    }


def _package(release: Release, tables: Sequence[TableOf], files: Kept) -> dict[str, Any]:
    from hashlib import sha256

    resources: list[dict[str, Any]] = []
    for table in tables:
        # Not Parquet, which states its schema itself: frictionless 5.21 reads its nulls as NaN.
        for form, media in (("csv", "text/csv"), ("jsonl", "application/jsonl")):
            path = f"{table.name}.{form}"
            one: dict[str, Any] = {
                "name": table.name if form == "csv" else f"{table.name}-{form}",
                "path": path,
                "format": form,
                "mediatype": media,
                "encoding": "utf-8-sig" if form == "csv" else "utf-8",
                "bytes": len(files[path]),
                "hash": f"sha256:{sha256(files[path]).hexdigest()}",
                "profile": "tabular-data-resource",
                "description": table.row,
                "schema": _schema(table),
            }
            resources.append(one)
    found: dict[str, Any] = {
        "profile": "data-package",
        "name": f"vanished-{release.name}",
        "title": title(release),
        "description": " ".join(CAVEATS),
        "version": release.name,
        "keywords": ["censorship", "content removal", "observatory"],
        "resources": resources,
    }
    if release.rules.license:
        found["licenses"] = [{"name": release.rules.license}]
    if release.rules.publisher:
        found["contributors"] = [{"title": release.rules.publisher, "role": "publisher"}]
    return found


def _schema(table: TableOf) -> dict[str, Any]:
    fields = []
    for column in table.columns:
        field: dict[str, Any] = {
            "name": column.name,
            "type": column.type,
            "description": column.meaning,
            "constraints": {"required": not column.empty},
        }
        if column.type == "datetime":
            field["format"] = "%Y-%m-%dT%H:%M:%SZ"
        fields.append(field)
    found: dict[str, Any] = {"fields": fields, "missingValues": [""]}
    if table.columns[0].name == "post":
        found["primaryKey"] = ["post"]
    return found


def _citation(release: Release) -> str:
    """CITATION.cff. Texts are written as JSON strings, which YAML reads alike."""
    rules = release.rules
    lines = [
        "cff-version: 1.2.0",
        "message: If you use this data set, please cite it as below.",
        "type: dataset",
        f"title: {toml_of(title(release))}",
        "authors:",
        f"  - name: {toml_of(rules.publisher or 'An observatory of Vanished')}",
        f"version: {toml_of(release.name)}",
    ]
    if until := day(release):
        lines.append(f"date-released: {toml_of(until)}")
    if rules.license:
        lines.append(f"license: {toml_of(rules.license)}")
    if rules.contact:
        lines.append(f"abstract: {toml_of('To ask for a takedown: ' + rules.contact)}")
    return "\n".join([*lines, "keywords:", "  - censorship", "  - content removal", ""])


def _readme(release: Release, tables: Sequence[tuple[TableOf, int]]) -> str:
    rules = release.rules
    lines = [
        f"# {title(release)}",
        "",
        f"Release {release.name} of the observatory {release.observatory}.",
    ]
    if until := day(release):
        lines.append(f"Known until {until} (UTC).")
    lines += ["", "| table | rows | a row is |", "|---|---|---|"]
    lines += [f"| `{table.name}` | {rows:,} | {table.row} |" for table, rows in tables]
    lines += [
        "",
        "Each table lies here as .parquet, .csv and .jsonl with the same rows. dictionary.md"
        " says what"
        " the columns mean. Rows are in the order of their pseudonyms, which tells nothing.",
        "",
        "## What to know before counting",
        "",
        *(f"- {caveat}" for caveat in CAVEATS),
        f"- k is {rules.k}; no time is finer than {rules.round_s:g} s.",
    ]
    grounds = [
        f"- {rule.ground}: decided by {rule.decided_by} on {rule.decided_at}"
        for rule in rules.words
    ]
    if release.with_words:
        lines += ["", "## Why words are told", "", *sorted(set(grounds))]
    if rules.contact:
        lines += ["", f"To ask that something be taken down: {rules.contact}"]
    lines += ["", f"Made with {CREATED_WITH}; methods: {', '.join(METHODS)}.", ""]
    return "\n".join(lines)


def _page(tables: Sequence[TableOf]) -> str:
    lines = ["# Dictionary", ""]
    for table in tables:
        lines += [f"## {table.name}", "", table.row, ""]
        lines += ["| column | type | meaning | empty |", "|---|---|---|---|"]
        lines += [f"| `{c.name}` | {c.type} | {c.meaning} | {c.empty} |" for c in table.columns]
        lines.append("")
    return "\n".join(lines)
