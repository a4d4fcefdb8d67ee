"""What a foreign client has compressed, unpacked within bounds.

Kafka bounds a batch as it was sent. A thousandth of that may be what comes out of an honest one; a partner's zstd of
zeros is 4 MiB on the wire and 100 GiB in memory, and the driver unpacks whatever it is given. So it is given other
decoders, and what it reads of one answer ends with so many bytes: the rest is fetched again when there is room.

Nobody else is harmed by a batch that is too large, or that the driver cannot unpack at all: it comes out as one record
without contents, which no envelope fits, and what follows is read.
"""

import gzip
import io
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cramjam
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch

from services.kernel.broker.interface import size_of
from services.kernel.telemetry import log

UNPACKED_BYTES = 4 * 1024 * 1024
"""Of one batch: as large as an uncompressed one may be. One answer is read until its records take as much in memory."""
UNREADABLE = (("ce_", b"\xff"),)
"""Stands for headers, or a whole record, that cannot be read: no envelope has these, so the record is a dead letter."""
_XERIAL_BYTES = 16
_Decode = Callable[[Any], bytes]
_log = log.get("unpacking")


class TooLarge(Exception):
    """More than a batch may hold."""


class _Unreadable(NamedTuple):
    """What stands for a batch that was not unpacked, as the driver's records look."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: None = None
    value: None = None
    headers: tuple[tuple[str, bytes], ...] = UNREADABLE
    checksum: None = None


class _Answer:
    """What Kafka answered for one partition, in place of the driver's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._records = _MemoryRecords(data)
        self.room = UNPACKED_BYTES

    def has_next(self) -> bool:
        return self.room > 0 and bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        packed = bool(getattr(batch, "compression_type", 0))
        return _Packed(batch, self) if packed else batch


class _Packed:
    """A compressed batch; everything but its records is as the driver has it."""

    def __init__(self, batch: Any, answer: _Answer) -> None:
        self._batch = batch
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            records = iter(self._batch)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of a stranger's bytes
            _log.warning("batch not unpacked", error=type(error).__name__)
            batch = self._batch
            yield _Unreadable(batch.base_offset, batch.max_timestamp, batch.timestamp_type)
            return
        for record in records:
            self._answer.room -= size_of(record.key, record.value, record.headers)
            yield record


def _gzip(data: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
        unpacked = packed.read(UNPACKED_BYTES + 1)
    if len(unpacked) > UNPACKED_BYTES:
        raise TooLarge
    return unpacked


def _snappy(data: Any) -> bytes:
    """Unpack one block, or the framed blocks that Java's clients write."""
    if not codec._detect_xerial_stream(data):
        return _block(data, UNPACKED_BYTES)
    unpacked, at = bytearray(), _XERIAL_BYTES
    while at < len(data):
        (length,) = struct.unpack_from("!I", data, at)
        at += 4
        unpacked += _block(data[at : at + length], UNPACKED_BYTES - len(unpacked))
        at += length
    return bytes(unpacked)


def _block(data: bytes, most: int) -> bytes:
    # Said in front of the block; the decoder would make room for whatever stands there.
    if cramjam.snappy.decompress_raw_len(data) > most:
        raise TooLarge
    return bytes(cramjam.snappy.decompress_raw(data))


def _into(decompress_into: Callable[[Any, bytearray], int]) -> _Decode:
    """Return a decoder that fails where its output does not fit."""

    def decode(data: Any) -> bytes:
        unpacked = bytearray(UNPACKED_BYTES)
        return bytes(memoryview(unpacked)[: decompress_into(data, unpacked)])

    return decode


_MemoryRecords = fetcher.MemoryRecords
fetcher.MemoryRecords = _Answer
# In the driver's compiled part, where it has one.
_driver = sys.modules[DefaultRecordBatch.__module__]
for _name, _decode in {
    "gzip_decode": _gzip,
    "snappy_decode": _snappy,
    "lz4_decode": _into(cramjam.lz4.decompress_into),
    "zstd_decode": _into(cramjam.zstd.decompress_into),
}.items():
    # Whoever renames them there must find out here.
    getattr(_driver, _name)
    setattr(_driver, _name, _decode)
