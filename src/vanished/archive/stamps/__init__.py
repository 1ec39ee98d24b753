"""Stamps: others say since when a checkpoint of the log exists, and with it all that it covers.

    settings = StampSettings(authorities=(Authority("alpha", url, root_pem_path),),
                             calendars=("https://...",), every_s=3600)
    settings.check()                                       # before the watch; UsageError
    report = await due_work(log / "stamps", checkpoint_bytes, now, settings, fetch)
    findings = verify(log / "stamps", {"alpha": read_root(path)}, now=now)   # offline
    all(finding.holds for finding in findings)

Call `due_work` again at `report.next_at`, and when the log has grown; failures are in the report
and never raised. On disk, with other people's tools, in log/stamps/<size:012d>/:

    checkpoint       the exact bytes that are stamped
    NAME.tsq, .tsr   query and raw reply:  openssl ts -verify -data checkpoint -in NAME.tsr
                     -CAfile ROOT.pem  (with -attime once the authority's certificate has ended)
    checkpoint.ots   ots verify checkpoint.ots
    state.json       what was tried, when, what came back, and the SHA-256 of each file

A stamp proves that these bytes existed by its time, never that a platform sent what they commit
to. No time of a stamp enters a verdict.
"""

from vanished.archive.stamps.checking import Finding, Standing, stamped, verify
from vanished.archive.stamps.kept import Attempt, Kind, Progress, Stamped, folder_of
from vanished.archive.stamps.ledger import NAME, Done, StampReport, StampSettings, due_work
from vanished.archive.stamps.ots import Proof, header_file
from vanished.archive.stamps.rfc3161 import Authority, TimeStamp, read_root

__all__ = [
    "NAME",
    "Attempt",
    "Authority",
    "Done",
    "Finding",
    "Kind",
    "Progress",
    "Proof",
    "StampReport",
    "StampSettings",
    "Stamped",
    "Standing",
    "TimeStamp",
    "due_work",
    "folder_of",
    "header_file",
    "read_root",
    "stamped",
    "verify",
]
