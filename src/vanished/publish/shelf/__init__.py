"""The shelf: what was lost, laid out so that a page of it is there at once.

In: the past. Out: one SQLite file with a row for each loss, its words findable, and what the front
page counts. It is a copy that may be thrown away at any time and is made anew from the past;
nothing is concluded here, and nothing stands here that the past does not hold.
"""

from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.filters import Filter
from vanished.publish.shelf.reading import Shelf

__all__ = ["Filter", "Shelf", "fill"]
