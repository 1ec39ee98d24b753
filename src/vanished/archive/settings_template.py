"""The text of a new observatory.toml: every key with its value, and a line that says what it is.

In: the new observatory's id, the recipients of its captures, the tables of the sources. Out: the
text. Whatever holds without it is commented out, or states the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from vanished.archive.settings_asking import SOURCE_KEYS, Key

TEMPLATE = """\
# An observatory of Vanished. Every key that you leave out has the value shown here.
# Durations are in seconds, sizes in bytes. Secrets never stand here: name an environment variable.

[observatory]
id = "{id}"                  # names the key of the pseudonyms, which lies outside this folder

[watch]
concurrency = 64             # requests under way at once, over all hosts
commit_every_s = 0.5         # how long an answer may wait before it is kept for good
shortest_s = 60              # no post is looked at and no list is read more often, but where a loss
                             # is to be confirmed
objective = "mean"           # what looks are to make small: the mean delay of notice, or its "log"
census = 0.02                # share of looks at posts drawn at random, which keep the rest honest
terms = []                   # words: posts with one of them are watched closely when such are lost
# look_every_s = [[3600, 300], [86400, 3600]]
                             # instead of all that: younger than an hour every 5 minutes, younger
                             # than a day every hour, older ones every 7 days
# discover_every_s = 300     # how often each account's list is read; without this line, when it is
                             # worth its price among the looks (with look_every_s: every 300 s)

[hosts]
per_second = 1.0             # requests a second to any one host
burst_s = 10                 # idle seconds that a host's budget may save up
# [hosts.per_host]
# "example.org" = 0.2

[net]
timeout_s = 20
max_bytes = 8388608          # of one answer, as sent and decoded
max_redirects = 5
allow_networks = []          # private networks that may be asked, such as "127.0.0.0/8"
vantage = "here"             # a name for where you look from
# [net.proxies]              # other ways out, which a source can name in its routes
# tor = "socks5h://127.0.0.1:9050"     # with a password: tor_env = "NAME_OF_A_VARIABLE"
# around = "best"                     # what vanished reach advise found to work

[judge]
stale_s = 60                 # how old a copy may be from which a platform still answers "alive"
burst_s = 3600               # how long a burst of false "not found" may last
fresh_s = 1800               # how long after a look a canary's right answer still vouches for it
alone_s = 86400              # how long a loss waits for the word of every other route

[canaries]
every_s = 900                # how often each route is tried on posts whose fate is known

[journal]
flush_rows = 50000           # rows of the tail that are moved into Parquet at once

[capture]
keep = true                  # keep the bytes of first sights, changes and notices, and prove them
seal_to = [{seal_to}]        # age recipients whose secret half is elsewhere; [] leaves all readable
segment_bytes = 67108864     # a segment is closed at this size,
segment_s = 900              # or at this age
pictures = 20                # pictures of a post that are fetched at most; 0: none

[log]
checkpoint_every_s = 5       # how often the log is signed while something is added
witness_every_s = 60         # how often witnesses are asked to cosign it
# [log.witnesses]            # other observatories: a name, its address, the key it cosigns with
# friends = {{ url = "https://witness.example.org", key = "witness.example.org+1a2b3c4d+..." }}

[stamps]
every_s = 3600               # how often a checkpoint is stamped
upgrade_every_s = 3600       # how often pending stamps are asked after
# calendars = ["https://calendar.example.org"]  # of OpenTimestamps
# [stamps.authorities]       # RFC 3161: a name, its address, and the root that you trust
# first = {{ url = "https://tsa.example.org", root = "tsa-root.pem" }}
# headers = "headers.txt"    # Bitcoin block headers, to confirm calendars' attestations

[publish]
k = 5                        # accounts that every published number or row rests on, at least
round_s = 3600               # published times are rounded to so many seconds, or more
link_accounts = false        # whether published rows say which posts share an account
title = ""                   # of data sets and the site
publisher = ""               # who publishes, as it is to be cited
license = ""                 # of what is published, such as "CC-BY-4.0"
contact = ""                 # where to ask that something be taken down
# translator = ["argos-translate", "--from", "zh", "--to", "en"]  # a program; docs/dashboard.md
# [[publish.words]]          # words are published under such a rule only; docs/publishing.md
# platforms = ["wechat"]     # whose words: of these platforms, of these accounts, or of both
# accounts = ["c2f4m7q3x6w5b7na"]
# ground = "outlet"          # or "public-figure", "consent", "reviewed"
# decided_by = "the editors"
# decided_at = 2026-11-01
# alive = false              # also words of posts that nobody took away
# captures = false           # also their captures, which name the author; accounts must be given

{sources}"""

SOURCES = """\
## Sources. A line with one # is a setting: to set it, take the # away, and that of its table.
## The table of any source may also have:
"""


def template(identity: str, seal_to: Sequence[str] = (), sources: str = "") -> str:
    """The text of a new observatory's file; `sources` as `source_tables` writes them."""
    recipients = ", ".join(f'"{recipient}"' for recipient in seal_to)
    return TEMPLATE.format(id=identity, seal_to=recipients, sources=sources)


def source_tables(tables: Mapping[str, tuple[str, Mapping[str, Key]]]) -> str:
    """For each platform what its source is, in a sentence, and its keys: all commented out."""
    lines = [SOURCES + "\n".join(f"##   {line}" for line in _lines(SOURCE_KEYS)), ""]
    for platform, (about, keys) in tables.items():
        lines += [f"## {about}", f"# [sources.{platform}]", *(f"# {x}" for x in _lines(keys)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _lines(keys: Mapping[str, Key]) -> list[str]:
    shown = {f"{name} = {toml_of(key.shown)}": key.meaning for name, key in keys.items()}
    width = min(44, max(map(len, shown), default=0))
    return [f"{line:{width}}  # {meaning}" for line, meaning in shown.items()]


def toml_of(value: object) -> str:
    """`value` as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml_of(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value)  # a text, a number, true or false: alike in both
