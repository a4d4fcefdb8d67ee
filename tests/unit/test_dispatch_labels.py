"""The last hand on what leaves: opened on a lease, cut to the agreement, sealed for one partner."""

import json

import orjson
import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from schemas.addresses import Recipient
from schemas.erasure import Destroy
from schemas.holds import HoldReleased
from schemas.partners import ParcelOffered
from schemas.privacy import Category, Sealed
from schemas.shipments import Service
from services.dispatch.events import LabelDue
from services.dispatch.labels import Labels
from services.dispatch.partners import ALGORITHMS, check_key
from services.kernel.errors import KeyringUnavailable, LeaseExpired
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import KeyRef
from services.kernel.sealing.memory import MemoryVault
from services.kernel.sealing.place import place
from services.kernel.storage.interface import OutboxRow

ANNA, BEN, ORDER, REFERENCE = "a" * 32, "b" * 32, "1" * 32, "d" * 32
PRIVATE = ECKey.generate_key("P-256")
PUBLIC = check_key(json.dumps(PRIVATE.as_dict(private=False)))
RECIPIENT = Recipient(
    name="Anna Canary", address_lines=("1 Canary Street",), city="Town", postal_code="AB1 2CD", country="GB",
    delivery_note="A long note about where to leave it " * 5,
)  # fmt: skip


class Clock:
    """Time that moves when told."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def vault():
    return MemoryVault()


async def token(vault, subject=ANNA, order=ORDER, field="ship_to", text=None):
    (key,) = (
        await vault.principal("gateway").mint("shop", [KeyRef(subject, Category.LOGISTICS, order)])
    ).keys
    text = text or orjson.dumps(RECIPIENT.model_dump(mode="json", exclude_none=True))
    return seal(key, place("orders", order, field), text)


def row(ship_to, fields=("name",), subject=ANNA, order=ORDER):
    label = LabelDue(
        order=order,
        reference=REFERENCE,
        service=Service.STANDARD,
        ship_to=Sealed(ship_to),
        fields=fields,
        key=PUBLIC,
    )
    return OutboxRow(
        topic="partner.swift.shipments",
        key=REFERENCE,
        value=label.model_dump_json().encode(),
        headers=[("ce_type", b"lethe.parcel.offered.v1")],
        subject=subject,
        scope=order,
        sealed=("logistics",),
        partner="swift",
    )


async def prepared(vault, *rows, clock=None):
    return await Labels(vault.principal("carriers"), clock).prepare(rows)


async def test_the_partner_and_nobody_else_reads_the_agreed_fields(vault):
    (message,) = (await prepared(vault, row(await token(vault), ("name", "country")))).messages
    offered = ParcelOffered.model_validate_json(message.value)
    opened = jwe.decrypt_compact(offered.label, PRIVATE, algorithms=ALGORITHMS)
    assert json.loads(opened.plaintext) == {"name": "Anna Canary", "country": "GB"}
    assert (message.topic, message.key, offered.reference) == (
        "partner.swift.shipments",
        REFERENCE.encode(),
        REFERENCE,
    )
    for hidden in (ANNA, ORDER, "Canary"):
        assert hidden.encode() not in message.value


async def test_the_length_of_a_label_says_little_about_what_is_in_it(vault):
    rows = [row(await token(vault), fields) for fields in (("name",), ("country",), ("name", "country"))]
    messages = (await prepared(vault, *rows)).messages
    assert len({len(each.value) for each in messages}) == 1


async def test_an_erased_address_is_dropped_and_its_neighbours_leave(vault):
    anna = row(await token(vault))
    ben = row(await token(vault, BEN, "2" * 32), subject=BEN, order="2" * 32)
    vault.apply(ANNA, HoldReleased(order=ORDER, revision=1, categories=(Category.LOGISTICS,)))
    vault.apply(ANNA, Destroy(request="e" * 32, round=1))
    first, second = (await prepared(vault, anna, ben)).messages
    assert first is None
    assert second is not None


@pytest.mark.parametrize("wrong", ["subject", "order", "field", "text", "altered"])
async def test_an_address_that_is_not_what_it_should_be_never_leaves(vault, wrong):
    good = row(await token(vault))
    bad = {
        "subject": row(await token(vault), subject=BEN),
        "order": row(await token(vault), order="2" * 32),
        "field": row(await token(vault, field="basket")),
        "text": row(await token(vault, text=b'{"name":"Anna"}')),
        "altered": row((await token(vault))[:-2] + "AA"),
    }[wrong]
    refused, fine = (await prepared(vault, bad, good)).messages
    assert refused is None
    assert fine is not None


async def test_a_label_prepared_too_long_ago_does_not_leave(vault):
    """No lease outlives the moment that the certificate names."""
    clock = Clock()
    made = await prepared(vault, row(await token(vault)), clock=clock)
    made.valid()
    clock.seconds = 10.0
    with pytest.raises(LeaseExpired):
        made.valid()


async def test_without_the_keyring_nothing_is_dropped(vault):
    waiting = row(await token(vault))
    vault.away = True
    with pytest.raises(KeyringUnavailable):
        await prepared(vault, waiting)


async def test_openings_are_counted_for_delivery_only(vault):
    await prepared(vault, row(await token(vault)))
    ((who, category, purpose),) = vault.openings
    assert (who, category, purpose) == ("carriers", "logistics", "delivery")


async def test_no_message_carries_more_headers_than_its_row(vault):
    waiting = row(await token(vault))._replace(headers=[("ce_id", b"x")])
    (message,) = (await prepared(vault, waiting)).messages
    assert message.headers == [("ce_id", b"x")]
