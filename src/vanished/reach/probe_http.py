"""One HTTP/1.1 request over an open connection (df-001).

In: a connection, plain or encrypted, and what is asked. Out: the step; what was received before a
failure stays in it. Redirects are followed by whoever asks, not here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

import h11

from vanished.reach import failures
from vanished.reach.door import failure_of
from vanished.reach.probe_tcp import Connection
from vanished.reach.probe_tls import tls_failure
from vanished.reach.run import Run
from vanished.reach.steps import Exchange, HeadersList, Request, Response, Words, words

HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.9",
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/141.0.0.0 Safari/537.36",
}
"""What OONI's probes send, too: an answer must not depend on an odd client."""


NOT_ASKED = "unknown_failure: no request that can be sent"
_AS_IT_IS = "%/?:@!$&'()*+,;=~[]|{}^`\"<>\\"
"""What a target may hold as it was given; a space or a letter beyond ASCII is written in percents,
as browsers write it."""


@dataclass(slots=True)
class _Answer:
    """An answer while it comes."""

    code: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False
    ended: bool = False  # the other side sends nothing more


async def request(
    run: Run,
    connection: Connection,
    url: str,
    *,
    method: str = "GET",
    host: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    limit_s: float | None = None,
) -> Exchange:
    """Ask once for `url`, with `host` in the Host header; the step is appended to `run`."""
    t0 = run.now()
    parts = urlsplit(url)
    asked = {"Host": host or _host(parts), **(headers or HEADERS)}
    if body or method == "POST":
        asked["Content-Length"] = str(len(body))
    asked["Connection"] = "close"
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), _AS_IT_IS)
    answer, failure = _Answer(), None
    try:
        async with asyncio.timeout(limit_s or run.limits.http_s):
            await _talk(run, connection, method, target, asked, body, answer)
    except h11.RemoteProtocolError:
        failure = failures.EOF if answer.ended else "http_parse_error"
    except (h11.LocalProtocolError, UnicodeError):
        failure = NOT_ASKED
    except (ssl.SSLError, EOFError) as error:
        failure = tls_failure(error)
    except (OSError, TimeoutError) as error:
        failure = failure_of(error)
    step = Exchange(
        request=Request(
            url=url, method=method, headers=dict(asked), headers_list=tuple(asked.items()),
            body=words(body), x_transport="tcp",
        ),
        response=_response(answer),
        failure=failure, address=connection.place, network="tcp", alpn=connection.alpn or None,
        t0=t0, t=run.now(), tags=connection.tags, transaction_id=connection.transaction,
    )  # fmt: skip
    run.requests.append(step)
    return step


def _host(parts: SplitResult) -> str:
    """The Host header of an address: its name in ASCII, and the port where it is not the usual."""
    shown = parts.netloc.rpartition("@")[2]
    if shown.isascii():
        return shown
    name, colon, port = shown.partition(":")
    return f"{ascii_name(name)}{colon}{port}"


def ascii_name(name: str) -> str:
    """A host's name as it is asked for; as it was where it cannot be written in ASCII."""
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


async def _talk(
    run: Run,
    connection: Connection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    answer: _Answer,
) -> None:
    """Send a request and read its answer into `answer`."""
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 17)
    sent = wire.send(h11.Request(method=method, target=target, headers=[*headers.items()]))
    sent = (sent or b"") + (wire.send(h11.Data(body)) or b"" if body else b"")
    await connection.send(sent + (wire.send(h11.EndOfMessage()) or b""))
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            held = await connection.receive()
            answer.ended = not held
            wire.receive_data(held)
        elif isinstance(event, h11.Response):
            answer.code, answer.headers = event.status_code, [*event.headers.raw_items()]
        elif isinstance(event, h11.Data):
            room = run.limits.body_bytes - len(answer.body)
            answer.body += event.data[:room]
            if len(event.data) > room:
                answer.truncated = True
                return
        elif isinstance(event, h11.EndOfMessage):
            return
        elif not isinstance(event, h11.InformationalResponse):
            raise EOFError("the other side hung up")


def _response(answer: _Answer) -> Response | None:
    if not answer.code:
        return None
    listed: HeadersList = tuple((words(key), words(value)) for key, value in answer.headers)
    first: dict[str, Words] = {}
    for key, value in answer.headers:
        first.setdefault(key.decode("latin-1"), words(value))
    return Response(
        code=answer.code, headers=first, headers_list=listed, body=words(bytes(answer.body)),
        body_is_truncated=answer.truncated,
    )  # fmt: skip
