"""The only door out: a safe fetcher, politeness per host, proxies."""

from vanished.net.exchange import Exchange, Fetch

__all__ = ["Exchange", "Fetch"]
