"""Which partition a key belongs to: murmur2 as in Kafka's Java client, so that every producer of ours agrees."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions
