"""After the erasure: the customer's id turns up again, at the door, past the door, and at the keyring's."""

import json
import uuid
from collections.abc import Iterator

import httpx
from confluent_kafka import Producer

from schemas.orders import OrderPlaced
from schemas.privacy import Category
from schemas.topics import ORDERS
from services.demo import people
from services.demo.erasing import known
from services.demo.findings import Check
from services.demo.log_reader import Record
from services.demo.scene import Scene
from services.demo.waiting import until

GONE = 410
WAIT_SECONDS = 30.0
CATEGORIES = (Category.TRANSACTION, Category.LOGISTICS, Category.ACCOUNTING)
_SUPPRESSED = "SELECT sum(count) AS count FROM orders.ending WHERE topic = 'orders' AND ending = 'suppressed'"
_ROWS = "SELECT order_id FROM orders.orders WHERE order_id = '{order}'"


def the_id_turns_up_again(scene: Scene) -> Iterator[Check]:
    """Order under the erased id, write an old record past the gateway, ask for a new key."""
    status, code = _order_late(scene)
    says = f"a late order under the erased id: {status} {code} at the gateway"
    yield Check("late_order_refused", status == GONE, says)
    before, order = _suppressed(scene), _write_past_the_gateway(scene)
    ended = until(lambda: _suppressed(scene) == before + 1, WAIT_SECONDS)
    stored = scene.room.rows(_ROWS.format(order=order))
    says = "an old record written straight into the topic as a new order: read, suppressed, stored nowhere"
    yield Check("record_past_the_gateway_suppressed", ended and not stored, says)
    answers = _ask_for_keys(scene)
    says = (
        f"the keyring is asked for new keys with the gateway's own token: {', '.join(sorted(set(answers)))}"
    )
    yield Check("no_new_key", answers == ["subject-erased"] * len(CATEGORIES), says)


def _order_late(scene: Scene) -> tuple[int, str]:
    """Send what the SDK would send, to see the gateway's own answer."""
    purchase = scene.shop.of_person[scene.script.cast.closed][0]
    data = {
        "order": scene.shop.lethe.new_order(),
        "carrier": scene.shop.carrier_of(purchase),
        "basket": people.basket(purchase),
        "ship_to": people.recipient(purchase),
    }
    subject = known(scene.first).subject
    event = {"id": str(uuid.uuid4()), "type": OrderPlaced.type, "subject": subject, "data": data}
    answer = httpx.post(
        f"{scene.room.stack.gateway_url}/v1/events",
        content=json.dumps(event, default=lambda moment: moment.isoformat()),
        headers={"authorization": f"Bearer {scene.token}", "content-type": "application/json"},
        timeout=WAIT_SECONDS,
    )
    return answer.status_code, str(answer.json().get("code", ""))


def _write_past_the_gateway(scene: Scene) -> str:
    """Write an old record as a new order, with the login that Kafka refuses nothing; return the order."""
    subject, order = known(scene.first).subject.encode(), scene.shop.lethe.new_order()
    records = scene.room.read((ORDERS,))
    old = next(each for each in records if each.key == subject and _is_placed(each))
    value = {**json.loads(old.value or b""), "order": order}
    headers: list[tuple[str, str | bytes | None]] = [
        *(each for each in old.headers if each[0] != "ce_id"),
        ("ce_id", str(uuid.uuid4()).encode()),
    ]
    producer = Producer({**scene.room.stack.kafka_settings("admin"), "log_level": 0})
    producer.produce(
        old.topic, key=old.key, value=json.dumps(value), partition=old.partition, headers=headers
    )
    producer.flush(WAIT_SECONDS)
    return order


def _is_placed(record: Record) -> bool:
    return dict(record.headers)["ce_type"] == OrderPlaced.type.encode()


def _suppressed(scene: Scene) -> int:
    return int(scene.room.rows(_SUPPRESSED)[0]["count"] or 0)


def _ask_for_keys(scene: Scene) -> list[str]:
    """Return how the keyring answers for each category."""
    subject, order = known(scene.first).subject, scene.shop.lethe.new_order()
    keys = [{"subject": subject, "category": each, "scope": order} for each in CATEGORIES]
    body = {"storefront": scene.storefront, "keys": keys, "subjects": []}
    _, answer = scene.room.keyring("POST", "/v1/mint", "gateway", body)
    return [each.get("refused", "a key") for each in answer.get("keys", [])]
