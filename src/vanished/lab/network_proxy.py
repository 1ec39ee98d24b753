"""A plain proxy of the lab: HTTP CONNECT (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928) on one port.

    python -m vanished.lab.network_proxy ADDRESS PORT

In: connections; the first byte tells which of the two it is. Out: the bytes of the far end. No
passwords, no other methods; names are resolved here. One thread a connection.
"""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import struct
import sys

_IDLE_S = 60.0


def dialled(stream: socket.socket) -> tuple[str, int, bytes, bytes] | None:
    """Host, port, and what to say on success and on failure; None for what we do not speak."""
    first = stream.recv(1)
    if first == b"\x05":
        stream.recv(255 + 1)
        stream.sendall(b"\x05\x00")
        head = stream.recv(4, socket.MSG_WAITALL)
        if head[:2] != b"\x05\x01":
            return None
        if head[3] == 1:
            host = socket.inet_ntoa(stream.recv(4, socket.MSG_WAITALL))
        else:
            host = stream.recv(stream.recv(1)[0], socket.MSG_WAITALL).decode("ascii")
        (port,) = struct.unpack("!H", stream.recv(2, socket.MSG_WAITALL))
        rest = b"\x00\x01" + bytes(6)
        return host, port, b"\x05\x00" + rest, b"\x05\x04" + rest
    head = first
    while b"\r\n\r\n" not in head and len(head) < 65536:
        got = stream.recv(4096)
        if not got:
            return None
        head += got
    method, target = head.split()[:2]
    host, _, port_text = target.decode("ascii").rpartition(":")
    if method != b"CONNECT":
        stream.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        return None
    failed = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    return host, int(port_text), b"HTTP/1.1 200 OK\r\n\r\n", failed


def carry(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until one end has no more."""
    while True:
        ready, _, _ = select.select([one, other], [], [], _IDLE_S)
        for stream in ready:
            got = stream.recv(65536)
            if not got:
                return
            (other if stream is one else one).sendall(got)
        if not ready:
            return


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError, struct.error):
            asked = dialled(self.request)
            if asked is None:
                return
            host, port, yes, no = asked
            try:
                far = socket.create_connection((host, port), 10.0)
            except OSError:
                self.request.sendall(no)
                return
            with far:
                self.request.sendall(yes)
                carry(self.request, far)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    _Server((sys.argv[1], int(sys.argv[2])), _Connection).serve_forever()
