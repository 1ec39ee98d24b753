"""Checkpoints to stamp, and a door that may ask loopback; nothing here is signed in earnest."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from tests.net.servers import open_door
from vanished.net.door import Door

NAME = "observatory.example/log"


def checkpoint(size: int, salt: str = "") -> bytes:
    """A note of a log of `size` leaves; another `salt` is another root."""
    root = b64encode(hashlib.sha256(f"{size}{salt}".encode()).digest()).decode()
    signature = b64encode(bytes(68)).decode()
    return f"{NAME}\n{size}\n{root}\n\n— {NAME} {signature}\n".encode()


def door() -> Door:
    return open_door(timeout_s=5.0, retries=0)
