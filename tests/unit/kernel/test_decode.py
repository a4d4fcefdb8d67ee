"""What the loop's decoder refuses of what others write: by a code, before anyone acts on it."""

import pytest

from schemas.envelope import Envelope
from schemas.partners import CopyErased, ParcelReported
from services.dispatch.store import MemoryShipments
from services.dispatch.updates import PATTERN, Updates, topic_named
from services.kernel.broker.interface import Record
from services.kernel.errors import RejectedRecord
from services.kernel.ids import random_id
from services.kernel.worker.decode import FOREIGN_BYTES, Decoder
from services.kernel.worker.worker import Worker

UPDATES = Worker("carriers.updates", (), Updates(MemoryShipments()), pattern=PATTERN, topic_named=topic_named)
REFERENCE = "7" * 32
CANARY = "Quxolotl"


def update(value: bytes, kind: str = CopyErased.type) -> Record:
    """Return a record of a partner's own topic."""
    envelope = Envelope(id=random_id(), type=kind, source="/partners/swift")
    return Record("partner.swift.updates", 0, 0, b"any", value, envelope.headers())


def code_of(record: Record) -> str:
    with pytest.raises(RejectedRecord) as refused:
        Decoder(UPDATES).decode(record)
    assert CANARY not in str(refused.value) + repr(refused.value.fields)
    assert refused.value.__cause__ is None and refused.value.__context__ is None
    return refused.value.code


def test_an_update_is_read() -> None:
    value = b'{"reference":"%s","status":"delivered"}' % REFERENCE.encode()
    event = Decoder(UPDATES).decode(update(value, ParcelReported.type)).event
    assert event.reference == REFERENCE  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b'{"reference":"%s","reference":"%s"}' % (b"1" * 32, b"2" * 32), "duplicate-key"),
        (b'{"reference":"%s","refer\\u0065nce":"%s"}' % (b"1" * 32, b"2" * 32), "duplicate-key"),
        (b'{"reference":NaN}', "number-not-finite"),
        (b'{"reference":1e999}', "number-out-of-range"),
        (b'{"reference":"\\ud800"}', "lone-surrogate"),
        (b'{"reference":"Quxolotl\\u0000"}', "nul"),
        (b"[" * 5_000, "too-deep"),
        (b'{"reference":"' + b"Quxolotl" * FOREIGN_BYTES + b'"}', "too-long"),
        (b"\xef\xbb\xbf{}", "byte-order-mark"),
        (b"Dear Quxolotl", "not-json"),
        (b'{"reference":"Quxolotl"}', "string-pattern-mismatch"),
        (b'{"reference":"%s","Quxolotl":1}' % REFERENCE.encode(), "extra-forbidden"),
    ],
)
def test_an_ambiguous_record_is_a_dead_letter(value: bytes, code: str) -> None:
    """A partner's update says one thing, to us and to whoever audits it (C4)."""
    assert code_of(update(value)) == code
