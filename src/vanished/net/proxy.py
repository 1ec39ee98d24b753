"""Ways round: a connector that reaches hosts through a SOCKS5 or HTTP proxy.

In: a proxy's URL (`socks5://`, `socks5h://` or `http://`, with a port, perhaps a password). Out:
an aiohttp connector. With `socks5` the name is resolved here, checked, and the proxy is given the
address that passed. With `socks5h` (Tor) and `http` the proxy resolves the name, so no address
can be checked here: private literals and local names are refused, nothing more is possible.

An HTTP proxy is always asked for a tunnel (CONNECT), for http pages too: what it says itself (403,
404, 407) can then never be taken for the page's own answer. The password of a proxy appears in no
error, repr or URL that leaves this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from urllib.parse import unquote, urlsplit

from aiohttp import ClientRequest
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import AddrInfoType
from aiohttp_socks import ProxyConnector, ProxyType

from vanished.errors import ConfigError
from vanished.net.address import Network, refuse_for_remote, resolve_checked
