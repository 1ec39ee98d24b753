"""Worlds with known truth, for tests, benchmarks and `vanished demo`; the product never comes here.

`world` draws everything that will happen, `platform` shows it to whoever asks, with the traps of
`traps`, `serve` puts that on a loopback port, `source` reads it as a watch does, and `truth` says
how right the watch was.
"""
