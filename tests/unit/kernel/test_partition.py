"""Every producer of ours puts a key where Kafka's Java client puts it."""

from aiokafka.partitioner import murmur2 as aiokafkas
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.broker.partition import murmur2, partition_of


@given(st.binary(max_size=70))
def test_the_hash_is_aiokafkas(key: bytes) -> None:
    """Two hashes would put an order and its erasure into different lanes."""
    assert murmur2(key) == aiokafkas(key) & 0xFFFFFFFF


def test_a_partition_is_the_positive_hash_among_so_many() -> None:
    """As in `DefaultPartitioner` of the Java client."""
    assert [partition_of(key, 12) for key in (b"", b"21", b"foobar", b"a" * 32)] == [
        (aiokafkas(key) & 0x7FFFFFFF) % 12 for key in (b"", b"21", b"foobar", b"a" * 32)
    ]
