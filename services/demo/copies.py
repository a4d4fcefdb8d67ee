"""Old copies of sealed values, and what a stubborn attacker does with them: try every key there is on every one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.demo.log_reader import Record
from services.kernel.sealing.keys import decoded

_TOKEN = re.compile(rb"eyJhbGciOiJkaXIi[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Copy:
    """One sealed value as somebody kept it."""

    topic: str
    kid: str
    place: str
    token: str


def sealed_in(records: Iterable[Record]) -> list[Copy]:
    """Return every sealed value in the records, one that travelled through two topics twice."""
    return [
        _copy(record.topic, token.decode())
        for record in records
        for token in _TOKEN.findall(record.value or b"")
    ]


def of_subject(records: Iterable[Record], subject: str) -> list[Copy]:
    """Return every sealed value of one person."""
    return sealed_in(record for record in records if record.key == subject.encode())


def opened_by(copy: Copy, key: bytes) -> bytes | None:
    """Return the plaintext if this key opens the copy, whatever key the copy names; None if it does not."""
    header, _, nonce, box, tag = copy.token.split(".")
    try:
        return AESGCM(key).decrypt(decoded(nonce), decoded(box) + decoded(tag), header.encode()).rstrip(b" ")
    except InvalidTag:
        return None


def opened_by_any(copies: Iterable[Copy], keys: Iterable[bytes]) -> list[bytes]:
    """Return the plaintexts of all copies that any of the keys opens: every key is tried on every copy."""
    ciphers = list(keys)
    tried = (opened_by(copy, key) for copy in copies for key in ciphers)
    return [text for text in tried if text is not None]


def _copy(topic: str, token: str) -> Copy:
    header = orjson.loads(decoded(token.partition(".")[0]))
    return Copy(topic, header["kid"], header["place"], token)
