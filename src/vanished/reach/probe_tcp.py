"""One TCP connect (df-005), and the connection that the next steps go over.

In: an address and a port. Out: the step, and a `Connection` where it succeeded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from vanished.reach.door import NotContactedError, failure_of
from vanished.reach.run import Run, Times, place
from vanished.reach.steps import Tags, TcpConnect, TcpStatus

_READ: Final = 1 << 16
_AT_ONCE: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Connection:
    """An open connection; encrypted once `secure` did its work. Close it."""

    socket: socket.socket
    address: str
    port: int
    transaction: int
    tags: Tags = None
    alpn: str = ""
    _tls: ssl.SSLObject | None = None
    _in: ssl.MemoryBIO | None = None
    _out: ssl.MemoryBIO | None = None

    @property
    def place(self) -> str:
        return place(self.address, self.port)

    async def secure(self, context: ssl.SSLContext, name: str | None) -> ssl.SSLObject:
        """Make a TLS handshake as `name` and encrypt what follows.

        Raises ssl.SSLError, OSError, or EOFError where the other side hung up.
        """
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                await self._flush_quietly()
                raise
            else:
                break
        await self._flush()
        self._tls = tls
        return tls

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        if self._tls is None:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
        else:
            self._tls.write(data)
            await self._flush()

    async def receive(self) -> bytes:
        """Some bytes, b"" at the end. Raises OSError, ssl.SSLError, EOFError for a cut stream."""
        if self._tls is None:
            return await asyncio.get_running_loop().sock_recv(self.socket, _READ)
        while True:
            try:
                return self._tls.read(_READ)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""

    async def _fill(self) -> None:
        assert self._in is not None
        data = await asyncio.get_running_loop().sock_recv(self.socket, _READ)
        if not data:
            raise EOFError("the other side hung up")
        self._in.write(data)

    async def _flush(self) -> None:
        assert self._out is not None
        if self._out.pending:
            await asyncio.get_running_loop().sock_sendall(self.socket, self._out.read())

    async def _flush_quietly(self) -> None:
        try:
            await self._flush()  # our alert; whoever is not there any more does not hear it
        except OSError:
            return

    def close(self, *, abort: bool = False) -> None:
        """Close it. `abort`: with a reset, so that the kernel does not go on sending what was not
        answered, which a censor that remembers would take for another try."""
        if abort:
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.socket.close()


async def connect(
    run: Run, address: str, port: int, *, tags: Tags = None, limit_s: float | None = None
) -> tuple[TcpConnect, Connection | None]:
    """Connect once; the step is appended to `run`."""
    transaction, times = run.transaction(), Times(run)
    opened: Connection | None = None
    failure: str | None = None
    try:
        limit = limit_s or run.limits.connect_s
        made = await run.door.stream(address, port, limit, started=times.start)
        opened = Connection(made, address, port, transaction, tags)
    except (OSError, TimeoutError, NotContactedError) as error:
        failure = failure_of(error)
    step = TcpConnect(
        ip=address, port=port, status=TcpStatus(success=failure is None, failure=failure),
        t0=times.t0, t=run.now(), tags=tags, transaction_id=transaction,
    )  # fmt: skip
    run.connects.append(step)
    return step, opened
