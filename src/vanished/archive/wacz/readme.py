"""The words that go into every WACZ: what is in it, what it proves and what not.

Text only, for readers who have never heard of Vanished; it must stay true without our programs.
"""

from __future__ import annotations

from typing import Final

DESCRIPTION: Final = (
    "Captures of public posts with receipts from an append-only log. This observatory held these "
    "bytes by the time that the stamps prove and has not changed them since; that is no proof "
    "that the platform sent them. See about/README.txt."
)

README: Final = """\
What this file is
=================
A web archive (WACZ 1.1.1) written by Vanished, an observatory of censorship.
Observatory: {observatory}
Captures: {captures}

A capture is the evidence of one look at a public post or account: what was asked, what was
answered, from where, and when by our clock. Open the whole file at https://replayweb.page or in
any other program for WACZ to see the answers as they came.

What it proves
==============
This observatory held these bytes by the time that the stamps prove, and has not changed them
since.

What it does not prove
======================
- That the platform sent these bytes. Nobody can prove that from one archive; an encrypted
  connection leaves no proof for others. A second observatory that saw the same is what helps.
- That a post was removed, by whom, or why. That is a conclusion; the captures are only its facts.
- When a capture was made, more closely than: before the oldest stamp that covers it. Earlier
  times in it are this observatory's own clock and word.
- Anything about captures that are not in this file.

What is in it
=============
archive/    The captures, WARC 1.1. The last record of each holds its manifest and its salt.
manifests/  For each capture, by its number in the log: the SHA-256 of each record. No post's
            words, address or author are in it.
receipts/   For each capture: the proof (C2SP tlog-proof) that the log holds the commitment to its
            manifest, with a signed checkpoint of the log.
stamps/     Time stamps of checkpoints, by independent services: RFC 3161 tokens (.tsr) and
            OpenTimestamps proofs (.ots).
statements/ Public statements in the log, such as a new key.
rotations/  Checkpoints signed by an old and a new key of the log, where the key was changed.
vkeys       The log's public keys, oldest first. Compare them with what the observatory publishes
            elsewhere: keys that you know only from this file prove nothing.
witnesses   The public keys of the log's witnesses, if it has any.
pages/, indexes/, datapackage.json, datapackage-digest.json
            What web archives need: a list of pages, where each answer lies, and the SHA-256 of
            every file in here.

How to check it without a network and without trusting us
=========================================================
All at once:      vanished verify THIS-FILE.wacz
By other tools:   wacz validate -f THIS-FILE.wacz       every file is as datapackage.json lists it
                  warcio check archive/*.warc.gz        every record is as it says
                  openssl ts -verify                    an RFC 3161 stamp
                  ots verify                            an OpenTimestamps proof
A capture is committed to by SHA-256(0x00 || salt || SHA-256(manifest)), which is its leaf in the
log (RFC 6962 hashing); the receipt leads from there to the checkpoint that was stamped.

Please treat the people in it with care. Authors did not ask to be archived.
"""
