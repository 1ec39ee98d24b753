"""The lab's servers over QUIC (RFC 9000, HTTP/3): the same pages on UDP port 443.

    python -m vanished.lab.network_quic FOLDER

runs in the servers' namespace; needs aioquic (the extra `reach`). In: servers.json of the folder.
Out: the line "ready". The outages that servers show are not shown here.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from vanished.lab.network_pages import home_page


class Http3(QuicConnectionProtocol):
    """One connection: every request is answered with the host's page."""

    _http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for got in self._http.handle_event(event):
            if isinstance(got, HeadersReceived):
                asked = dict(got.headers).get(b":authority", b"").decode("latin-1")
                shown = home_page(asked.partition(":")[0])
                head = [(b":status", b"200"), (b"content-type", shown.type.encode())]
                self._http.send_headers(got.stream_id, head)
                self._http.send_data(got.stream_id, shown.body, end_stream=True)
                self.transmit()


async def main(folder: Path) -> None:
    told = json.loads((folder / "servers.json").read_text())
    for name, addresses in told["addresses"].items():
        for address in addresses:
            shown = QuicConfiguration(is_client=False, alpn_protocols=list(H3_ALPN))
            shown.load_cert_chain(folder / f"{name}.pem")
            await serve(address, 443, configuration=shown, create_protocol=Http3)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
