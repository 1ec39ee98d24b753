"""The numbers that posts and lists share in the schedule: when a date is set, kept and given up.

Nothing is computed here. What somebody may want otherwise is in `priced.Conditions`.
"""

from __future__ import annotations

EARLY, TAKEN_AT = 0.8, 0.9  # of the price
JITTER = 0.05
FIRST = 1e9  # above any worth that hazards make
FLOOR_S = 22 * 3600.0  # who was not asked for so long goes first: a day is kept
RETRY_S = (30.0, 3600.0)  # first and longest wait after failures; each is twice the one before
REVISED_EVERY_S = 3600  # every date is computed anew this often, a part of them at a time
