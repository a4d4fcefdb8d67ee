"""Which partition a key belongs to: murmur2 as in Kafka's Java client, so that every producer of ours agrees."""

import struct
from functools import lru_cache

from schemas.topics import LANES

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_32_BITS = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def lane_of_cell(storefront: str, cell: str) -> int:
    """Return the one lane in which a cell is counted, whoever contributes, by its id: its text is nobody's business."""
    return partition_of(f"{storefront}\t{cell}".encode(), LANES)


def murmur2(key: bytes) -> int:
    """Return the hash of a key, in half the time that aiokafka's own takes: it is asked for every record."""
    hashed = _SEED ^ len(key)
    for word in _words(len(key) // 4).unpack_from(key):
        word = word * _MIX & _32_BITS
        hashed = (hashed * _MIX ^ (word ^ word >> 24) * _MIX) & _32_BITS
    if rest := key[len(key) & ~3 :]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _MIX & _32_BITS
    hashed = (hashed ^ hashed >> 13) * _MIX & _32_BITS
    return hashed ^ hashed >> 15


@lru_cache(maxsize=64)
def _words(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")
