"""Alerts: what was judged since the last message, told to people through Apprise.

`settings` reads alerts.toml, `happened` reads the past into events, `choosing` says who is to be
told what, `message` words it, `ledger` remembers it, `sending` has the `courier` carry it, and
`rounds` does these in order. Nothing here judges anything.
"""
