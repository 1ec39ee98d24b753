"""For schemathesis: what our own format of a text means. Named in SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

from vanished.publish.api.parameters import WORDS
from vanished.publish.shelf.grams import query

schemathesis.openapi.format(
    WORDS, st.text(min_size=1, max_size=20).filter(lambda text: bool(query(text)))
)
