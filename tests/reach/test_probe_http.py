"""Requests: what came before a cut is evidence, and no page may fill the memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.reach.loopback import (
    HOST,
    LIMITS,
    NAME,
    SHORT,
    Certificates,
    Talk,
    answering,
    loopback_run,
    reset,
    serving,
)
from vanished.reach.probe_http import request
from vanished.reach.probe_tcp import connect
from vanished.reach.probe_tls import handshake
from vanished.reach.run import Limits, Run
from vanished.reach.steps import Exchange, raw

OK = b"HTTP/1.1 200 OK\r\nServer: test\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"


async def asked(
    port: int, path: str = "/", *, host: str = "", limits: Limits = LIMITS
) -> tuple[Exchange, Run]:
    """One request over a new connection."""
    run = loopback_run(limits)
    _, opened = await connect(run, HOST, port, tags=("attempt=1",))
    assert opened
    step = await request(run, opened, f"http://{NAME}:{port}{path}", host=host)
    opened.close()
    return step, run


async def test_a_page_stands_as_ooni_records_it() -> None:
    async with serving(answering(OK + b"Content-Length: 4\r\n\r\n", b"page")) as port:
        step, run = await asked(port, "/news?x=1")
    assert step.failure is None
    assert step.response
    assert (step.response.code, step.response.body) == (200, "page")
    assert step.response.body_is_truncated is False
    assert [v for k, v in step.response.headers_list or () if k == "Set-Cookie"] == ["a", "b"]
    assert step.response.header("server") == "test"
    assert step.request
    assert (step.request.url, step.request.method) == (f"http://{NAME}:{port}/news?x=1", "GET")
    assert (step.request.headers or {})["Host"] == f"{NAME}:{port}"
    assert (step.address, step.network) == (f"{HOST}:{port}", "tcp")
    assert step.transaction_id == run.connects[0].transaction_id
    assert step.tags == ("attempt=1",)
    assert run.requests == [step]


CUT = OK + b"Content-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    ("talk", "failure", "code", "body"),
    [
        (answering(), "eof_error", None, b""),
        (answering(b"HTTP/1.1 200 OK\r\nSer"), "eof_error", None, b""),
        (answering(CUT, b"half"), "eof_error", 200, b"half"),
        (answering(CUT, b"half", then=reset), "connection_reset", 200, b"half"),
        (answering(then=reset), "connection_reset", None, b""),
        (answering(b"SSH-2.0-OpenSSH_9\r\n\r\n"), "http_parse_error", None, b""),
    ],
)
async def test_each_failure_has_its_own_name_and_keeps_what_came(
    talk: Talk, failure: str, code: int | None, body: bytes
) -> None:
    async with serving(talk) as port:
        step, _ = await asked(port)
    assert step.failure == failure
    assert (step.response.code if step.response else None) == code
    assert (raw(step.response.body) if step.response else b"") == body


async def test_silence_before_and_within_a_page_is_a_timeout() -> None:
    for sent, code in ((b"", None), (CUT + b"half", 200)):

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes = sent
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await reader.read()

        async with serving(talk) as port:
            step, _ = await asked(port, limits=SHORT)
        assert step.failure == "generic_timeout_error"
        assert (step.response.code if step.response else None) == code


async def test_a_page_without_end_is_cut_where_agreed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\n")
        for _ in range(1 << 12):  # 64 MiB, if anybody took them
            writer.write(b"x" * (1 << 14))
            await writer.drain()

    async with serving(talk) as port:
        step, _ = await asked(port)
    assert step.failure is None
    assert step.response
    assert len(raw(step.response.body)) == LIMITS.body_bytes
    assert step.response.body_is_truncated is True


async def test_a_head_without_end_is_cut_too() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(1 << 10):
            writer.write(b"x" * (1 << 14))
            await writer.drain()

    async with serving(talk) as port:
        step, _ = await asked(port)
    assert step.failure == "http_parse_error"
    assert step.response is None


async def test_pieces_are_put_together_and_bytes_stay_bytes() -> None:
    pieces = b"Transfer-Encoding: chunked\r\n\r\n3\r\n\xff\xfe\x00\r\n2\r\nab\r\n0\r\n\r\n"
    async with serving(answering(OK + pieces)) as port:
        step, _ = await asked(port)
    assert step.failure is None
    assert step.response
    assert raw(step.response.body) == b"\xff\xfe\x00ab"


async def test_another_host_is_asked_for_in_the_header_only() -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(talk) as port:
        await asked(port, "/a word/свобода?q=\u00e9&b=%20", host="bystander.example")
    (head,) = heads
    assert b"\r\nHost: bystander.example\r\n" in head
    assert NAME.encode() not in head
    line = head.split(b"\r\n")[0]
    path = "%D1%81%D0%B2%D0%BE%D0%B1%D0%BE%D0%B4%D0%B0"
    assert line == f"GET /a%20word/{path}?q=%C3%A9&b=%20 HTTP/1.1".encode()


async def test_a_page_over_tls_and_one_that_is_cut_in_it(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    for then, failure in ((None, None), (reset, "connection_reset")):
        body = (
            b"Content-Length: 4\r\n\r\npage" if then is None else b"Content-Length: 9\r\n\r\nhalf"
        )
        async with serving(answering(OK + body, then=then), made.server()) as port:
            run = loopback_run()
            _, opened = await connect(run, HOST, port)
            assert opened
            shaken = await handshake(run, opened, NAME, authorities=made.trusted)
            step = await request(run, opened, f"https://{NAME}:{port}/")
            opened.close()
        assert shaken.failure is None
        assert step.failure == failure
        assert step.alpn == "http/1.1"
        assert step.response
        assert step.response.code == 200
