"""The gateway as a process, in front of a real Kafka, PostgreSQL and keyring."""

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from deploy.local.ports import is_free
from schemas.topics import LANES
from services.kernel.ids import random_id
from services.kernel.worker.decode import lane_of
from services.storefront import Lethe
from tests.fixtures.platform import Platform
from tests.unit.clicks_door import BROWSER
from tests.unit.gateway_room import CANARY, cancelled, placed

pytestmark = pytest.mark.slow


@dataclass
class Shop:
    """A storefront that was let in."""

    platform: Platform
    name: str
    token: str

    @property
    def url(self) -> str:
        return self.platform.stack.gateway_url

    def http(self, url: str = "") -> httpx.Client:
        return httpx.Client(
            base_url=url or self.url, headers={"authorization": f"Bearer {self.token}"}, timeout=30
        )

    def take(self, body: Any) -> httpx.Response:
        with self.http() as http:
            return http.post("/v1/events", json=body)


def lethe(platform: Platform, *arguments: str, code: int = 0) -> Any:
    """Run a verb and return its JSON answer."""
    command = [
        sys.executable,
        "-m",
        "services.cli",
        *arguments,
        "--state",
        str(platform.stack.state),
        "--json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def shop(whole_platform: Platform) -> Shop:
    """A storefront of these tests' own."""
    return let_in(whole_platform)


def let_in(platform: Platform) -> Shop:
    """Return one more storefront."""
    name = "shop-" + random_id()[:8]
    return Shop(platform, name, lethe(platform, "storefronts", "add", name)["token"])


def records_of(platform: Platform, topic: str, subject: str) -> list[Any]:
    """Return every committed record of a subject on a topic, as the operator reads it."""
    login = platform.stack.kafka_settings("operator")
    reader = Consumer({**login, "group.id": "operator.test", "isolation.level": "read_committed"})
    number = lane_of(subject, LANES)
    try:
        low, high = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
        reader.assign([TopicPartition(topic, number, low)])
        found: list[Any] = []
        while low < high and (record := reader.poll(10)) is not None:
            low = record.offset() + 1
            found += [record] if record.key() == subject.encode() else []
        return found
    finally:
        reader.close()


def when_back(read: Callable[[], Any]) -> Any:
    """Return what is read, from a broker that was away a moment ago."""

    def attempt() -> Any:
        try:
            return [read()]
        except KafkaException:
            return None

    return until(attempt)[0]


def until(found: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what is found, as soon as it is."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return value


def test_an_order_is_on_kafka_sealed_when_it_is_acknowledged(shop: Shop) -> None:
    """T1: nothing personal stands in the topic, and what was acknowledged is there."""
    event = placed()
    assert shop.take(event).status_code == 202
    (record,) = records_of(shop.platform, "orders", event["subject"])
    assert dict(record.headers())["ce_id"] == event["id"].encode()
    assert dict(record.headers())["ce_source"] == f"/storefronts/{shop.name}".encode()
    text = record.value() + repr(record.headers()).encode()
    assert CANARY.encode() not in text
    assert base64.b64encode(CANARY.encode())[:8] not in text
    assert set(json.loads(record.value())) == {"order", "carrier", "basket", "ship_to"}


def test_refusals_over_the_wire(shop: Shop, whole_platform: Platform) -> None:
    other = Shop(whole_platform, "x", lethe(whole_platform, "storefronts", "add", f"{shop.name}-2")["token"])
    foreign = placed()
    assert other.take(foreign).status_code == 202
    answer = shop.take([placed(), foreign, cancelled(foreign["subject"]), placed(carrier="?")])
    assert [each["status"] for each in answer.json()["results"]] == [202, 403, 403, 422]
    assert CANARY not in answer.text
    assert len(records_of(whole_platform, "orders", foreign["subject"])) == 1


def test_a_wish_is_followed_until_its_certificate_and_the_subject_is_gone(shop: Shop) -> None:
    """R3: asked over HTTP, destroyed, certified, and from then on 410."""
    event = placed()
    assert shop.take(event).status_code == 202
    wish = {"id": random_id(), "salt": random_id(), "subject": random_id()}
    with shop.http() as http:
        told = http.post("/v1/erasures", json=wish)
        assert told.status_code == 202
        url = told.json()["status_url"]
        until(lambda: http.get(url).json()["state"] == "certified", 60)
        certificate = http.get(f"{url}/certificate")
        assert certificate.headers["content-type"] == "application/jose"
        assert certificate.text.count(".") == 2
        kid = json.loads(base64.urlsafe_b64decode(certificate.text.split(".")[0] + "=="))["kid"]
        keys = http.get("/.well-known/jwks.json").json()["keys"]
        assert kid in {key["kid"] for key in keys}
        assert not any("d" in key for key in keys)
        assert wish["subject"] not in certificate.text
        for late in (placed(wish["subject"]), cancelled(wish["subject"])):
            assert http.post("/v1/events", json=late).json() == {"code": "subject-erased", "field": "subject"}
        again = http.post("/v1/erasures", json=wish)
        assert again.json() == told.json()
    assert records_of(shop.platform, "orders", wish["subject"]) == []


def test_verbs_of_the_command_line(shop: Shop, tmp_path: Path) -> None:
    token, orders = tmp_path / "token", tmp_path / "orders.jsonl"
    token.write_text(shop.token)
    good, bad = placed(), placed(carrier="?")
    orders.write_text("\n".join(json.dumps(each) for each in (good, bad)))
    arguments = ("publish", str(orders), "--token-file", str(token))
    refused = [{"event": 2, "code": "string-pattern-mismatch", "field": "data.carrier"}]
    assert lethe(shop.platform, *arguments, "--dry-run", code=3) == {"would_be_sent": 1, "refused": refused}
    assert lethe(shop.platform, *arguments, code=3) == {"accepted": 1, "refused": refused}
    subject = random_id()
    erased = lethe(shop.platform, "erase", subject, "--token-file", str(token), "--wait", "60")
    assert erased["state"] == "certified"
    assert lethe(shop.platform, "requests", "show", erased["request"])["state"] == "certified"
    statement = lethe(shop.platform, "certificate", erased["request"])["certificate"]
    assert statement.count(".") == 2
    assert lethe(shop.platform, "certificate", random_id(), code=1)["error"] == "no such request"
    assert lethe(shop.platform, "storefronts", "add", shop.name, code=3)["code"] == "storefront-exists"


def test_a_revoked_token_is_refused_within_five_seconds(whole_platform: Platform) -> None:
    shop = let_in(whole_platform)
    assert shop.take(placed()).status_code == 202
    lethe(shop.platform, "storefronts", "revoke", shop.name)
    revoked_at = time.monotonic()
    until(lambda: shop.take(placed()).status_code == 401, 5)
    assert time.monotonic() - revoked_at <= 5
    lethe(shop.platform, "storefronts", "revoke", shop.name, code=1)


def test_a_shops_pages_are_counted_from_when_it_says_so_until_it_is_removed(
    shop: Shop, tmp_path: Path
) -> None:
    """C3: the verbs, the rows and the door agree within five seconds; a dry run changes nothing."""
    name, origin = "shop-" + random_id()[:8], "https://shop.example"
    file = tmp_path / "site.json"
    file.write_text(json.dumps({"origins": [origin], "routes": ["/", "/p/{item}"]}))

    def beacon() -> int:
        headers = {"origin": origin, "user-agent": BROWSER, "content-type": "text/plain"}
        url = f"{shop.url}/v1/collect?shop={name}"
        return httpx.post(url, json={"page_location": "/p/1", "events": []}, headers=headers).status_code

    assert beacon() == 404
    assert lethe(shop.platform, "sites", "set", name, "--file", str(file), "--dry-run")["set"] is False
    assert lethe(shop.platform, "sites", "show", name, code=1)["site"] is None
    assert lethe(shop.platform, "sites", "set", name, "--file", str(file))["routes"] == 2
    assert lethe(shop.platform, "sites", "show", name)["origins"] == [origin]
    assert name in {each["storefront"] for each in lethe(shop.platform, "sites", "list")}
    until(lambda: beacon() == 202, 5)
    assert lethe(shop.platform, "sites", "remove", name, "--dry-run")["removed"] is False
    assert beacon() == 202
    assert lethe(shop.platform, "sites", "remove", name)["removed"] is True
    until(lambda: beacon() == 404, 5)
    lethe(shop.platform, "sites", "remove", name, code=1)


def test_a_request_made_at_one_gateway_is_told_by_another(shop: Shop) -> None:
    stack = shop.platform.stack
    second = stack.add("gateway")
    try:
        record = json.loads((stack.layout.run / f"{second}.json").read_text())
        with shop.http() as one, shop.http(f"http://127.0.0.1:{record['ports']['http']}") as other:
            url = one.post("/v1/erasures", json={"subject": random_id()}).json()["status_url"]
            until(lambda: other.get(url).json()["state"] == "certified", 60)
            assert other.post("/v1/events", json=placed()).status_code == 202
    finally:
        stack.stop_worker(second)


def test_without_the_keyring_nothing_is_taken_and_nothing_is_lost(shop: Shop) -> None:
    """The door says 503 and when to come again; a repeat is taken once the keyring is back."""
    stack = shop.platform.stack
    event = placed()
    stack.stop_worker("keyring")
    try:
        answer = shop.take(event)
        assert (answer.status_code, answer.json()) == (503, {"code": "keyring-unavailable"})
        assert int(answer.headers["retry-after"]) >= 1
        assert records_of(shop.platform, "orders", event["subject"]) == []
    finally:
        stack.add("keyring")
    until(lambda: shop.take(event).status_code == 202)


def test_without_kafka_the_door_says_503_and_a_repeat_is_taken_later(shop: Shop) -> None:
    stack = shop.platform.stack
    event = placed()
    stack.kill("kafka", signal.SIGSTOP)
    try:
        answer = shop.take(event)
        assert (answer.status_code, answer.json()) == (503, {"code": "broker-unavailable"})
    finally:
        stack.kill("kafka", signal.SIGCONT)
    until(lambda: shop.take(event).status_code == 202)
    records = when_back(lambda: records_of(shop.platform, "orders", event["subject"]))
    ids = {dict(record.headers())["ce_id"] for record in records}
    assert ids == {event["id"].encode()}


@pytest.fixture
def heard() -> list[str]:
    """Codes of what the SDK had to repeat."""
    return []


@pytest.fixture
def client(shop: Shop, heard: list[str]) -> Iterator[Lethe]:
    """A shop's SDK."""
    made = Lethe(
        shop.url,
        shop.token,
        on_error=lambda code, ids: heard.append(code),
        batch_events=20,
        timeout_seconds=5,
    )
    yield made
    made.close(1)


def test_killed_in_the_middle_nothing_accepted_is_lost(shop: Shop, client: Lethe, heard: list[str]) -> None:
    """kill -9 of the gateway under load: what the SDK counts as accepted is on Kafka, and in the end all of it."""
    stack = shop.platform.stack
    subject = client.new_subject()
    sent: list[str] = []

    def hand_over() -> None:
        for _ in range(600):
            sent.append(str(client.cancel(subject, client.new_order(), reason="stock")))
            time.sleep(0.002)

    thread = threading.Thread(target=hand_over)
    thread.start()
    time.sleep(0.5)
    stack.kill("gateway-1")
    # While one thread of a killed process still ends, its port is taken, and the next one would get another.
    until(lambda: is_free(stack.identity.ports["gateway-1:http"]))
    time.sleep(0.5)
    assert stack.add("gateway") == "gateway-1"
    thread.join()
    assert client.flush(60), (heard, client.report())
    assert client.report().refused == {}
    assert client.report().accepted == len(sent)
    found = [
        dict(record.headers())["ce_id"].decode() for record in records_of(shop.platform, "orders", subject)
    ]
    assert set(found) == set(sent)
    first_seen = list(dict.fromkeys(found))
    assert first_seen == sent, "order per subject is kept, repeats aside"


def test_many_shops_at_once(shop: Shop) -> None:
    """Concurrent requests share keys and flushes; each gets its own answer."""
    bad = placed(carrier="?")
    with shop.http() as http, ThreadPoolExecutor(16) as pool:
        bodies = [placed() if number % 5 else bad for number in range(200)]
        statuses = list(pool.map(lambda body: http.post("/v1/events", json=body).status_code, bodies))
    assert statuses == [202 if number % 5 else 422 for number in range(200)]


def test_nothing_personal_in_its_log_or_metrics(shop: Shop) -> None:
    shop.take(placed())
    shop.take(placed(carrier=CANARY))
    stack = shop.platform.stack
    metrics = httpx.get(stack.health_url("gateway-1") + "/metrics").text
    assert f'lethe_events_taken_total{{storefront="{shop.name}",type="lethe.order.placed.v1"}}' in metrics
    assert 'lethe_events_refused_total{code="string-pattern-mismatch"}' in metrics
    for text in (metrics, stack.layout.log("gateway-1").read_text()):
        assert CANARY not in text
        assert shop.token not in text
