"""How a record can end. Every record ends in exactly one of these ways, counted in the transaction that ends it."""

CONSUMED = "consumed"
"""Changed something."""
REPEATED = "repeated"
"""Changed nothing: said before."""
SUPPRESSED = "suppressed"
"""Its subject is erased, its scope not excepted."""
DEAD_LETTERED = "dead-lettered"
"""Broken, rejected, or behind one that failed: a row an operator can see and redrive."""

ENDINGS = (CONSUMED, REPEATED, SUPPRESSED, DEAD_LETTERED)

REDRIVEN = "redriven-"
"""Prefix of the endings of redriven records: they had their ending before, so these are no part of the sum."""

# What a handler says of a record that will be dead-lettered, and why.
REJECTED = "rejected"
"""A rule refuses it; nothing is parked behind it."""
FAILED = "failed"
"""`decide` raised something else, or the database refused the data: later records of the key are parked."""
PARKED = "parked"
"""Nothing wrong with it; an earlier record of its key failed."""
