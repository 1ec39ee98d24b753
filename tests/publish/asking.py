"""Ask an ASGI application without a server: its answer to one request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, with its headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks `app` from an address."""

    app: ASGIApp
    address: str = "127.0.0.1"

    def get(self, target: str, **headers: str) -> Answer:
        return asyncio.run(self._got(target, headers))

    async def _got(self, target: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(target)
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": parts.path, "raw_path": parts.path.encode(), "root_path": "",
            "query_string": parts.query.encode(), "client": (self.address, 1),
            "server": ("127.0.0.1", 80),
            "headers": [
                (k.replace("_", "-").lower().encode(), v.encode()) for k, v in headers.items()
            ],
        }  # fmt: skip
        said: list[Message] = []
        ended = asyncio.Event()

        async def receive() -> Message:
            await ended.wait()  # the client stays until it has the answer
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            said.append(message)

        await self.app(scope, receive, send)
        ended.set()
        found = {k.decode().lower(): v.decode() for k, v in said[0]["headers"]}
        return Answer(said[0]["status"], found, b"".join(m.get("body", b"") for m in said[1:]))
