"""A few kilobytes that become gigabytes: what a partner has compressed is unpacked within bounds, or set aside."""

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from services.kernel.broker.interface import Headers
from services.kernel.broker.unpacking import UNPACKED_BYTES
from services.kernel.errors import RejectedRecord
from services.kernel.worker.decode import Decoder
from tests.unit.kernel.sample import WORDS, worker
from tests.unit.kernel.weights import HEAVY, Heavy

AT = TopicPartition(WORDS.name, 0)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
PACKED = [name for name in CODECS if name != "none"]
LENGTH = slice(0, 8)
"""Where a batch has its first offset, which its checksum leaves out: the broker writes it."""


def batch(codec: str, *values: bytes, first: int = 0, key: bytes = b"k", headers: Headers = ()) -> bytes:
    """Return a batch as a foreign client sends it, and a broker passes it on."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=CODECS[codec], is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=2**31 - 1,
    )  # fmt: skip
    for number, value in enumerate(values):
        builder.append(number, timestamp=1, key=key, value=value, headers=list(headers))
    raw = bytearray(builder.build())
    raw[LENGTH] = first.to_bytes(8, "big")
    return bytes(raw)


def reading(*batches: bytes, since: int = 0) -> Any:
    """Return what the driver reads of an answer that holds these batches."""
    return fetcher.PartitionRecords(
        AT, fetcher.MemoryRecords(b"".join(batches)), [], since, None, None, True, fetcher.READ_COMMITTED
    )


def values(records: Any) -> list[tuple[int, bytes | None]]:
    return [(each.offset, each.value) for each in records]


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_within_bounds_is_read(codec: str) -> None:
    said = [b"%d" % number * 1_000 for number in range(100)]
    assert values(reading(batch(codec, *said))) == list(enumerate(said))


@pytest.mark.parametrize("codec", PACKED)
def test_a_bomb_is_one_record_without_contents_and_what_follows_is_read(codec: str) -> None:
    bomb = batch(codec, b"a", bytes(4 * UNPACKED_BYTES), b"c", first=1)
    answer = reading(batch(codec, b"one"), bomb, batch("none", b"two", first=4))
    records = list(answer)
    assert values(records) == [(0, b"one"), (1, None), (4, b"two")]
    assert answer.next_fetch_offset == 5
    with pytest.raises(RejectedRecord, match="attribute-encoding"):
        Decoder(worker()).decode(records[1])


@pytest.mark.parametrize("codec", PACKED)
def test_a_bomb_that_was_passed_halfway_is_not_told_again(codec: str) -> None:
    bomb = batch(codec, b"a", bytes(4 * UNPACKED_BYTES), b"c")
    answer = reading(bomb, since=1)
    assert values(answer) == []
    assert answer.next_fetch_offset == 3


@pytest.mark.parametrize("codec", PACKED)
def test_what_no_decoder_can_unpack_stops_nobody(codec: str) -> None:
    whole = batch(codec, b"one" * 1_000)
    answer = fetcher.PartitionRecords(
        AT, fetcher.MemoryRecords(whole[:61] + b"\xff" * 20 + whole[81:] + batch("none", b"two", first=1)),
        [], 0, None, None, False, fetcher.READ_COMMITTED,
    )  # fmt: skip
    assert values(answer) == [(0, None), (1, b"two")]


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("heavy", HEAVY)
def test_one_answer_is_read_until_it_is_as_large_as_one_batch_may_be(heavy: str, codec: str) -> None:
    """Each is allowed, and thousands of them fit into an answer: the rest is fetched again when there is room."""
    large: Heavy = HEAVY[heavy](UNPACKED_BYTES // 2 - 1_000)
    answer = reading(
        *(batch(codec, large.value, first=n, key=large.key, headers=large.headers) for n in range(20))
    )
    read = len(list(answer))
    assert 2 <= read <= 4
    assert answer.next_fetch_offset == read
