"""Carriers on the whole platform: held and released, revoked, and never mixed up with each other."""

import json
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey

from schemas.envelope import Envelope
from schemas.partners import CopyErased, CopyRevoked, ParcelOffered
from schemas.privacy import Event
from schemas.topics import for_carrier
from services.dispatch.partners import ALGORITHMS
from tests.fixtures.shopping import admit_shop, lethe, paid_order, until


@dataclass
class Carrier:
    """A partner with a Kafka client and a JOSE library."""

    state: object
    folder: object
    key: object = field(default_factory=lambda: ECKey.generate_key("P-256"))
    name: str = field(default_factory=lambda: f"carrier-{secrets.token_hex(4)}")
    found: list = field(default_factory=list)

    def join(self):
        """Be added as a partner, and start to read."""
        key, agreement = self.folder / f"{self.name}.jwk", self.folder / f"{self.name}.json"
        key.write_text(json.dumps(self.key.as_dict(private=False)))
        signed = {
            "fields": ["name", "country"], "valid_from": "2026-01-01T00:00:00Z", "valid_to": "2126-01-01T00:00:00Z",
            "sha256": "ab" * 32, "scope": "shipments",
        }  # fmt: skip
        agreement.write_text(json.dumps(signed))
        added = lethe(
            self.state, "partners", "add", self.name, "--key", str(key), "--agreement", str(agreement)
        )
        lines = Path(added["kit"], "kcat.conf").read_text().splitlines()
        self.login = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        group = {"group.id": f"partner.{self.name}", "auto.offset.reset": "earliest"}
        self.consumer = Consumer({**self.login, **group})
        self.consumer.subscribe([for_carrier(self.name)[0].name])
        return self

    def read(self):
        """Return everything found so far: (type, reference, label or reason)."""
        record = self.consumer.poll(0.5)
        if record is not None and record.error() is None:
            headers = {name: value.decode() for name, value in record.headers()}
            self.found.append((headers["ce_type"], record.key().decode(), self._meaning(record, headers)))
        return self.found

    def _meaning(self, record, headers):
        if record.value() is None:
            return headers["ce_reason"]
        label = ParcelOffered.model_validate_json(record.value()).label
        return json.loads(jwe.decrypt_compact(label, self.key, algorithms=ALGORITHMS).plaintext)

    def say(self, event: Event):
        """Write an update."""
        envelope = Envelope(str(uuid.uuid4()), event.type, f"/partners/{self.name}")
        producer = Producer(self.login)
        producer.produce(
            for_carrier(self.name)[1].name, event.model_dump_json().encode(), headers=envelope.headers()
        )
        assert producer.flush(20) == 0

    def listed(self):
        """Return how the platform lists this partner, None if it does not."""
        rows = lethe(self.state, "partners", "list", expect=(0, 1))
        return next((row for row in rows if row["partner_id"] == self.name), None)

    def leave(self):
        """Stop reading."""
        if hasattr(self, "consumer"):
            self.consumer.close()


@pytest.fixture
def carriers(whole_platform, tmp_path):
    """Two carriers whom nobody has added yet; the second has an X25519 key."""
    state = whole_platform.stack.state
    both = Carrier(state, tmp_path), Carrier(state, tmp_path, OKPKey.generate_key("X25519"))
    yield both
    for each in both:
        each.leave()


def test_a_parcel_is_held_until_its_carrier_has_signed_and_revoked_when_that_ends(carriers, tmp_path):
    """D3, D4: no agreement, no record; the end of the agreement takes back what was given."""
    carrier, _ = carriers
    token = admit_shop(carrier.state, tmp_path)
    paid_order(carrier.state, token, carrier.name, "First Customer")
    until("the held parcel", lambda: carrier.listed())
    assert (carrier.listed()["held"], carrier.listed()["code"]) == (1, "partner-unknown")
    carrier.join()
    ((kind, reference, label),) = until("the released label", carrier.read)
    assert (kind, label) == (ParcelOffered.type, {"name": "First Customer", "country": "GB"})
    assert lethe(carrier.state, "partners", "revoke", carrier.name)["ended"] == 1
    until("the revocation", lambda: len(carrier.read()) == 2)
    assert carrier.found[1] == (CopyRevoked.type, reference, "agreement-ended")
    paid_order(carrier.state, token, carrier.name)
    until("the next parcel to be held", lambda: carrier.listed()["held"] == 1)
    carrier.say(CopyErased(reference=reference))
    until("the word", lambda: carrier.listed()["acknowledged"] == 1)
    assert len(carrier.read()) == 2


def test_no_carrier_can_speak_for_another(carriers, tmp_path):
    """An update for another partner's reference is a dead letter, and changes nothing."""
    one, other = (each.join() for each in carriers)
    token = admit_shop(one.state, tmp_path)
    paid_order(one.state, token, one.name, "Customer of one")
    paid_order(other.state, token, other.name, "Customer of the other")
    ((_, reference, mine),) = until("a label", one.read)
    ((_, _, theirs),) = until("the other's label", other.read)
    assert (mine["name"], theirs["name"]) == ("Customer of one", "Customer of the other")
    other.say(CopyErased(reference=reference))

    def letters():
        found = lethe(one.state, "dead-letters", "list", "--worker", "carriers", expect=(0, 1))
        return [
            each["code"] for each in found["dead_letters"] if each["topic"] == for_carrier(other.name)[1].name
        ]

    assert until("the dead letter", letters) == ["reference-foreign"]
    assert (one.listed()["offered"], one.listed()["acknowledged"]) == (1, 0)
