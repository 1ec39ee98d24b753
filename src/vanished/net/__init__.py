"""The only door out: a safe fetcher, politeness per host, proxies.

The seam is here; the fetcher itself is imported from `net.door`, since it brings aiohttp along and
a command that asks nothing of the network should not wait a quarter of a second for it.
"""

from vanished.net.exchange import Exchange, Fetch

__all__ = ["Exchange", "Fetch"]
