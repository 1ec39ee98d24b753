"""A browser without a network: asks an application in this process, keeps its cookies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.types import ASGIApp, Message


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


@dataclass
class Client:
    """Asks `app` as if it stood at `host` (with its port)."""

    app: ASGIApp
    host: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return asyncio.run(self._ask("GET", path, headers, b""))

    def post(
        self, path: str, form: Mapping[str, str | Sequence[str]], headers: Mapping[str, str]
    ) -> Answer:
        given = {"content-type": "application/x-www-form-urlencoded", **headers}
        return asyncio.run(self._ask("POST", path, given, urlencode(form, doseq=True).encode()))

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(path)
        name, _, port = self.host.partition(":")
        sent = {"host": self.host, **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "root_path": "", "server": (name, int(port)),
            "client": ("127.0.0.1", 1),
            "headers": [(key.lower().encode(), value.encode()) for key, value in sent.items()],
        }  # fmt: skip
        got: list[Message] = []

        asked = asyncio.Event()

        async def receive() -> Message:
            if asked.is_set():  # whoever asked stays and waits
                await asyncio.Event().wait()
            asked.set()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            got.append(message)

        await self.app(scope, receive, send)
        found = {key.decode().lower(): value.decode() for key, value in got[0]["headers"]}
        if "set-cookie" in found:
            key, _, value = found["set-cookie"].partition(";")[0].partition("=")
            self.cookies[key] = value
        return Answer(got[0]["status"], found, b"".join(m.get("body", b"") for m in got[1:]))
