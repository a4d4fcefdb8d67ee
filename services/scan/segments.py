"""Kafka's record batches, version 2, as they lie in a segment file: taken apart and decompressed. Pure.

The format is that of the message protocol (Kafka documentation, "Record Batch"): 12 bytes of offset and length, then
a header of 49 bytes, then the records, compressed as one block.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cramjam

_HEAD = struct.Struct(">qiibIhiqqqhii")
_MAGIC = 2
_FRAME_BYTES = 12
_CODEC_MASK = 0x07
_NONE, _GZIP, _SNAPPY, _LZ4, _ZSTD = range(5)
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_XERIAL = b"\x82SNAPPY\x00"
_MOST_BATCH_BYTES = 256 * 1024 * 1024


class UndecodedBatch(ValueError):
    """A batch is compressed in a way that cannot be undone here, or is damaged."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of a segment."""

    offset: int
    start: int
    """Position of its first byte."""
    end: int
    codec: int
    body: bytes
    """Its records as stored."""

    @property
    def codec_name(self) -> str:
        """How the records are compressed."""
        return CODECS[self.codec] if self.codec < len(CODECS) else "unknown"

    def content(self) -> bytes:
        """Return the records decompressed; raise `UndecodedBatch`."""
        try:
            return _decompressed(self.codec, self.body)
        except Exception:  # noqa: BLE001 - every library has errors of its own, and a damaged block can raise any
            raise UndecodedBatch from None


def batches(segment: bytes) -> Iterator[Batch]:
    """Yield the whole batches of a segment file, up to the first bytes that are none."""
    start = 0
    while start + _HEAD.size <= len(segment):
        offset, length, _, magic, _, attributes, *_ = _HEAD.unpack_from(segment, start)
        end = start + _FRAME_BYTES + length
        if (
            magic != _MAGIC
            or not _HEAD.size - _FRAME_BYTES <= length <= _MOST_BATCH_BYTES
            or end > len(segment)
        ):
            return
        yield Batch(offset, start, end, attributes & _CODEC_MASK, segment[start + _HEAD.size : end])
        start = end


def _decompressed(codec: int, body: bytes) -> bytes:
    if codec == _NONE or not body:
        return body
    if codec == _GZIP:
        return zlib.decompress(body, wbits=zlib.MAX_WBITS | 16)
    if codec == _SNAPPY:
        return _unsnapped(body)
    if codec == _LZ4:
        return bytes(cramjam.lz4.decompress(body))
    if codec == _ZSTD:
        return bytes(cramjam.zstd.decompress(body))
    raise UndecodedBatch


def _unsnapped(body: bytes) -> bytes:
    """Java clients cut snappy into blocks behind a header of 16 bytes; librdkafka writes one block."""
    if not body.startswith(_XERIAL):
        return bytes(cramjam.snappy.decompress_raw(body))
    parts, position = [], 16
    while position < len(body):
        (size,) = struct.unpack_from(">i", body, position)
        parts.append(bytes(cramjam.snappy.decompress_raw(body[position + 4 : position + 4 + size])))
        position += 4 + size
    return b"".join(parts)
