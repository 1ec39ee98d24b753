"""The static site: what may leave, as pages that anybody can read, copy and carry without a server.

In: a `Release`, which the gate made, and the site as it was built last. Out: a folder of pages in
three languages, lists, feeds, an index for searching in the browser, the log's leaves, a signed
manifest. Nothing that did not pass the gate is known here.
"""
