"""The dashboard: what was lost, at the desk of those who watch.

In: an observatory's folder. Out: a small web server of plain pages, on this machine only unless
told otherwise. It reads the shelf (`publish.shelf`) and what was found (`publish.findings`); it
writes nothing but what a person decides in the review. No page asks anybody else for anything.
"""
