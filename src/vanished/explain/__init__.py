"""Verdicts to findings: how long posts live, which words and stories go, in which campaigns.

Every analysis is one pure function over the Arrow tables of `archive.arrow` and has the shape that
`explain.result` states. Nothing here reads a file or a clock, or draws a picture.
"""
