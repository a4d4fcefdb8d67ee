"""Remembers what has left, so that a contribution leaves once while its tag key lives (docs/adr/0069).

A tag of the day that left at nine and again at two would say that its visitor came back then; two cells with the
same hours of this kind would be one visitor's. Said once, a contribution has one hour only. A Bloom filter
(Communications of the ACM 13/7, 1970) holds as many as come in a fixed space: it may take a new contribution for one
that left, which loses it, and never takes one that left for new.
"""

from collections.abc import Iterable

from services.gateway.clicks.contribution import Contribution

BITS = 1 << 27
"""16 MiB. After 4 million contributions one in 6,000 new ones is lost, after 10 million one in 230."""
PROBES = 4
_HALF = (1 << 32) - 1
_KEYS = 2
"""The living tag key, and the one before it, whose last hour may leave after its death."""


class Gone:
    """What has left this gateway, by number of the tag key; in memory only. Its repr says nothing."""

    def __init__(self, bits: int = BITS) -> None:
        """`bits` is a power of two."""
        self._bits = bits
        self._filters: dict[int, bytearray] = {}

    def note(self, key: int, contributions: Iterable[Contribution]) -> None:
        """Remember contributions that leave."""
        bits = self._filters.get(key)
        if bits is None:
            bits = self._filters[key] = bytearray(self._bits // 8)
            for number in sorted(self._filters)[:-_KEYS]:
                del self._filters[number]
        last = self._bits - 1
        for each in contributions:
            for place in _places(each):
                bits[(place & last) >> 3] |= 1 << (place & 7)

    def holds(self, key: int, contribution: Contribution) -> bool:
        """Whether a contribution has left (or, rarely, looks as if it had)."""
        bits = self._filters.get(key)
        if bits is None:
            return False
        last = self._bits - 1
        return all(bits[(place & last) >> 3] >> (place & 7) & 1 for place in _places(contribution))

    def __repr__(self) -> str:
        return "Gone()"


def _places(contribution: Contribution) -> range:
    """Return where a contribution is noted, before a filter of 2ⁿ bits takes the last n bits of each."""
    # Id and tag are MACs, so nobody can aim at a place; two halves of one hash do for all probes (Kirsch and
    # Mitzenmacher, "Less hashing, same performance", 2006).
    number = hash((contribution.id, contribution.tag))
    first, pace = number & _HALF, number >> 32 & _HALF | 1
    return range(first, first + PROBES * pace, pace)
