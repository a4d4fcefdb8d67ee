"""Record batches are found and decompressed as Kafka's own clients write them."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.scan.segments import CODECS, UndecodedBatch, batches


def batch(offset: int, codec: int, *values: bytes) -> bytes:
    """Return one batch as a client of somebody else's writes it, with the offset that the broker gives it."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=False, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1_000_000,
    )  # fmt: skip
    for number, value in enumerate(values):
        builder.append(number, timestamp=1, key=b"key", value=value, headers=[("h", b"header")])
    built = bytes(builder.build())
    return offset.to_bytes(8, "big") + built[8:]


@pytest.mark.parametrize("codec", range(len(CODECS)), ids=CODECS)
def test_the_records_of_every_codec_are_readable(codec):
    """Key, value and headers."""
    segment = batch(0, 0, b"first") + batch(1, codec, b"canary " * 50, b"other") + batch(3, codec, b"last")
    found = list(batches(segment))
    assert [(each.offset, each.codec_name) for each in found][1:] == [(1, CODECS[codec]), (3, CODECS[codec])]
    assert b"canary canary" in found[1].content() and b"header" in found[1].content()
    assert found[-1].end == len(segment)


def test_what_is_no_batch_ends_the_reading_and_is_left_to_a_raw_search():
    """A torn tail, an index, zeros: nothing is skipped silently."""
    whole = batch(0, 0, b"first")
    for tail in (b"", b"\0" * 200, batch(1, 1, b"torn")[:-1], b"\xff" * 100, b"text"):
        (only,) = batches(whole + tail)
        assert only.end == len(whole)
    assert list(batches(b"")) == []


def test_a_batch_that_cannot_be_decompressed_says_so():
    """It counts as not searched."""
    damaged = bytearray(batch(0, 1, b"canary " * 50))
    damaged[70] ^= 0xFF
    damaged[-5] ^= 0xFF
    unknown = bytearray(batch(0, 0, b"canary"))
    unknown[22] = 7
    for segment in (damaged, unknown):
        (only,) = batches(bytes(segment))
        with pytest.raises(UndecodedBatch):
            only.content()
