"""Any record on a topic that somebody else writes: an event, or a dead letter with a code and no value (C4)."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Envelope
from schemas.partners import CopyErased, ParcelReported
from schemas.topics import ORDERS
from services.dispatch.store import MemoryShipments
from services.dispatch.updates import PATTERN, Updates, topic_named
from services.kernel.broker.interface import Record, TopicPartition
from services.kernel.errors import RejectedRecord
from services.kernel.ids import random_id
from services.kernel.storage.memory import MemoryStorage
from services.kernel.storage.postgres import _pack, _unpack
from services.kernel.worker.decode import Decoder, lane_of
from services.kernel.worker.endings import DEAD_LETTERED
from services.kernel.worker.turn import Batch, Turn
from services.kernel.worker.worker import Worker
from services.orders.app import build
from services.orders.settings import Settings
from services.orders.store import MemoryOrders
from tests.unit.dispatch_room import NOBODYS
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, corpus, damaged, nothing_is_told, says_nothing_of
from tests.unit.fuzz.test_sealed_tokens import WHOLE

CARRIERS = Worker(
    "carriers.updates", (), Updates(MemoryShipments()), pattern=PATTERN, topic_named=topic_named
)
(ORDERS_WORKER,) = build(Settings(**NOBODYS), MemoryOrders())  # type: ignore[arg-type]
SUBJECT, UPDATES = "5" * 32, "partner.swift.updates"
REPORT = json.dumps({"reference": "7" * 32, "status": "delivered"}).encode()
PLACED = json.dumps({"order": "a" * 32, "carrier": "swift", "basket": WHOLE, "ship_to": WHOLE}).encode()
SEEDS = {
    ParcelReported.type: [REPORT, *dict(corpus("update")).values()],
    CopyErased.type: [b'{"reference":"%s"}' % (b"7" * 32), *dict(corpus("update")).values()],
    "lethe.order.placed.v1": [PLACED],
}


Strange = list[tuple[str, bytes | None]]
"""Headers of other conventions: names and values that no client of ours writes."""
strange = st.lists(
    st.tuples(st.text(max_size=8) | st.just(CANARY), st.none() | st.binary(max_size=8) | st.just(b"\xff")),
    max_size=3,
)


def record(kind: str, value: bytes | None, key: bytes | None = b"any", more: Strange | None = None) -> Record:
    """Return a record of the topic where this type travels."""
    if kind.startswith("lethe.order."):
        envelope = Envelope(random_id(), kind, f"/storefronts/{CANARY}", subject=SUBJECT)
        headers = [*envelope.headers(), *(more or [])]
        return Record(ORDERS.name, lane_of(SUBJECT, 12), 0, SUBJECT.encode(), value, headers)
    envelope = Envelope(random_id(), kind, f"/partners/{CANARY}")
    return Record(UPDATES, 0, 0, key, value, [*envelope.headers(), *(more or [])])


def check(found: Record) -> None:
    worker = ORDERS_WORKER if found.topic == ORDERS.name else CARRIERS
    try:
        received = Decoder(worker).decode(found)
    except RejectedRecord as refused:
        says_nothing_of(refused)
        assert all(CANARY not in str(value) for value in refused.fields.values())
        ended(worker, found, refused.code)
        return
    assert CANARY not in repr(received.event)
    if found.topic == UPDATES:
        assert json.loads(found.value or b"", object_pairs_hook=once)["reference"] == received.key
    ended(worker, found)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs), "a key twice, and acted on"
    return dict(pairs)


def ended(worker: Worker, found: Record, code: str = "") -> None:
    """Handle the record in a lane of its own: it ends once, and what is kept of a broken one holds no value."""
    storage, lane = MemoryStorage(), worker.lane(TopicPartition(found.topic, found.partition))
    partition = TopicPartition(found.topic, found.partition)

    async def turn() -> None:
        await storage.begin(lane, {partition: 0})
        await Turn(worker, storage, Decoder(worker), "1").handle(
            lane, Batch([found], {partition: 0}, {partition: 1})
        )

    with nothing_is_told():
        asyncio.run(turn())
    assert sum(storage.tables.endings.values()) == 1
    letters = [each for kept in storage.tables.letters.values() for each in kept]
    if code:
        (letter,) = letters
        assert storage.tables.endings == {(found.topic, DEAD_LETTERED): 1}
        assert (letter.code, letter.value, list(letter.headers)) == (code, None, [])
        assert CANARY not in letter.field_path
    for letter in letters:
        kept = _unpack(_pack(letter.headers))
        assert [name for name, _ in kept] == [name for name, _ in letter.headers]


@pytest.mark.parametrize(("name", "data"), corpus("update"))
def test_what_was_found_before_is_still_decided(name: str, data: bytes) -> None:
    for kind in (ParcelReported.type, CopyErased.type):
        check(record(kind, data))


@given(
    data=st.data(), kind=st.sampled_from(sorted(SEEDS)), key=st.none() | st.binary(max_size=8), more=strange
)
@examples(150)
def test_any_record_is_an_event_or_a_dead_letter(
    data: st.DataObject, kind: str, key: bytes | None, more: Strange
) -> None:
    value = data.draw(st.sampled_from(SEEDS[kind][:1]) | damaged(SEEDS[kind]))
    check(record(kind, value, key, more))


def test_a_header_without_a_value_is_kept_as_one() -> None:
    """A partner's library may write one; an update that a rule refuses is stored with its headers."""
    check(record(CopyErased.type, SEEDS[CopyErased.type][0], more=[("trace", None), (CANARY, b"\xff")]))


@pytest.mark.parametrize("kind", [*SEEDS, CANARY, "lethe.copy.revoked.v1", "lethe.order.placed.v9"])
def test_a_record_without_a_value_or_of_a_strange_type_is_a_dead_letter(kind: str) -> None:
    check(record(kind, None))


def test_an_update_with_a_key_twice_is_refused() -> None:
    """Our parser takes the last of two equal keys, others the first: what we acted on could not be shown."""
    one, other = "1" * 32, "2" * 32
    twice = f'{{"reference":"{one}","status":"delivered","reference":"{other}"}}'.encode()
    with pytest.raises(RejectedRecord, match="duplicate-key"):
        Decoder(CARRIERS).decode(record(ParcelReported.type, twice))
