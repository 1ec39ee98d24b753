"""WACZ: captures with their proofs as one file for others, and the safe reading of such files.

    write_wacz(path, exhibits, observatory=..., created=..., vkeys=...) -> Written
    open_wacz(path) -> Wacz     names, read, stream, warcs, receipts, manifests, stamps, problems

`package` writes, `unpack` reads what a stranger wrote (over `zipform`, which trusts no ZIP);
`index` and `datapackage` are the two lists inside. WACZ is the export, never the store.
"""

from vanished.archive.wacz.package import Exhibit, Written, write_wacz
from vanished.archive.wacz.unpack import Problem, Wacz, open_wacz

__all__ = ["Exhibit", "Problem", "Wacz", "Written", "open_wacz", "write_wacz"]
