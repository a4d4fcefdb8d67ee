"""The SDK a shop installs: nothing lost, nothing invented, nothing raised."""

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.storefront import Lethe, courier
from tests.unit.storefront_gateway import FakeGateway, lost, serving, slow, status, taken

PACKAGE = Path(courier.__file__).parent


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "FIRST_WAIT_SECONDS", 0.02)


class Heard:
    """What `on_error` was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Sequence[str]]] = []

    def __call__(self, code: str, ids: Sequence[str]) -> None:
        self.said.append((code, list(ids)))

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.said]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def shop(gateway: FakeGateway, heard: Heard) -> Iterator[Lethe]:
    client = Lethe(gateway.url, "secret", on_error=heard, linger_seconds=0.02, timeout_seconds=2)
    yield client
    client.close(0)


def say(shop: Lethe, count: int = 1, **data: Any) -> list[str]:
    """Hand over events; return their ids."""
    ids = [shop.event("lethe.order.cancelled.v1", shop.new_subject(), data) for _ in range(count)]
    assert all(ids)
    return [each for each in ids if each]


def test_an_order_is_sent_with_ids_of_the_shops_own(shop: Lethe, gateway: FakeGateway) -> None:
    subject, order = shop.new_subject(), shop.new_order()
    at = datetime(2026, 11, 23, 10, 17, tzinfo=UTC)
    placed = shop.place(
        subject, order, carrier="swiftpost", basket={"placed_at": at}, ship_to={"name": "Ada"}
    )
    paid = shop.pay(subject, order, invoice={"number": "R1"})
    cancelled = shop.cancel(subject, order, reason="stock")
    assert shop.flush()
    assert gateway.ids == [placed, paid, cancelled]
    first = gateway.events[0]
    assert first["type"] == "lethe.order.placed.v1"
    assert first["data"] == {
        "order": order,
        "carrier": "swiftpost",
        "basket": {"placed_at": "2026-11-23T10:17:00+00:00"},
        "ship_to": {"name": "Ada"},
    }
    assert first["time"].endswith(":00:00Z"), "the exact time travels sealed"
    assert gateway.authorizations == ["Bearer secret"]
    assert (shop.report().accepted, shop.report().waiting) == (3, 0)


def test_ids_are_random_and_of_the_right_form(shop: Lethe) -> None:
    ids = {make() for make in (shop.new_subject, shop.new_order) for _ in range(100)}
    assert len(ids) == 200
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


def test_events_travel_together_in_order(shop: Lethe, gateway: FakeGateway) -> None:
    ids = say(shop, 250)
    assert shop.flush()
    assert gateway.ids == ids
    assert max(len(body) for _, body in gateway.calls) == 100
    assert len(gateway.calls) <= 6


def test_a_batch_is_bounded_in_bytes(gateway: FakeGateway) -> None:
    shop = Lethe(gateway.url, "secret", batch_bytes=10_000, linger_seconds=0.05)
    ids = say(shop, 20, note="n" * 3_000)
    assert shop.close()
    assert gateway.ids == ids
    assert max(len(json.dumps(body)) for _, body in gateway.calls) < 12_000


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (lost, "unreachable-RemoteProtocolError"),
        (status(503, "broker-unavailable", retry_after="0"), "broker-unavailable"),
        (status(500), "http-500"),
        (status(502), "http-502"),
        (status(429), "http-429"),
        (status(408), "http-408"),
        (lambda path, body: (202, {}, b"<html>"), "answer-unreadable"),
        (lambda path, body: (202, {}, b'{"results": []}'), "answer-unreadable"),
        (lambda path, body: (207, {}, b'{"results": [{"status": 202}, {"status": 503}]}'), "answer-partial"),
    ],
)
def test_what_got_no_clear_answer_is_sent_again_with_the_same_ids(
    shop: Lethe, gateway: FakeGateway, heard: Heard, first: Any, code: str
) -> None:
    gateway.script.extend([first, first])
    ids = say(shop, 2)
    assert shop.flush()
    assert gateway.ids == ids * 3
    assert heard.codes == [code, code]
    assert (shop.report().accepted, shop.report().refused) == (2, {})


def test_a_gateway_that_is_away_is_waited_for(heard: Heard) -> None:
    with serving() as gone:
        pass
    shop = Lethe(gone.url, "secret", on_error=heard)
    say(shop)
    assert shop.flush(0.3) is False
    assert shop.report().waiting == 1
    assert set(heard.codes) == {"unreachable-ConnectError"}
    assert shop.close(0) is False
    assert heard.codes[-1] == "unsent"


def test_retry_after_is_respected(shop: Lethe, gateway: FakeGateway) -> None:
    gateway.script.append(status(503, retry_after="1"))
    say(shop)
    time.sleep(0.5)
    assert len(gateway.calls) == 1
    deadline = time.monotonic() + 3
    while shop.report().waiting and time.monotonic() < deadline:
        time.sleep(0.02)
    assert 1.0 <= gateway.times[1] - gateway.times[0] < 1.6


def test_waits_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "FIRST_WAIT_SECONDS", 0.2)
    pauses = courier.waits()
    first = [next(pauses) for _ in range(12)]
    assert first[0] <= 0.2
    assert 15 <= first[-1] <= 30
    assert len(set(first)) == 12


def test_refused_events_are_counted_by_code_and_the_others_accepted(
    shop: Lethe, gateway: FakeGateway, heard: Heard
) -> None:
    results = [
        {"status": 202},
        {"status": 410, "code": "subject-erased", "field": "subject"},
        {"status": 422},
    ]
    gateway.script.append(lambda path, body: (207, {}, json.dumps({"results": results}).encode()))
    ids = say(shop, 3)
    assert shop.flush()
    assert heard.said == [("subject-erased", [ids[1]]), ("http-422", [ids[2]])]
    report = shop.report()
    assert (report.accepted, report.refused, report.waiting) == (1, {"subject-erased": 1, "http-422": 1}, 0)


@pytest.mark.parametrize("number", [400, 413, 422])
def test_one_event_that_spoils_a_body_is_found_and_the_others_are_sent(
    shop: Lethe, gateway: FakeGateway, number: int
) -> None:
    def answer(path: str, body: Any) -> Any:
        spoilt = any(event["data"].get("bad") for event in body)
        return status(number, "duplicate-key")(path, body) if spoilt else taken(path, body)

    gateway.usually = answer
    good = say(shop, 30)
    (bad,) = say(shop, 1, bad=True)
    good += say(shop, 30)
    assert shop.flush()
    report = shop.report()
    assert (report.accepted, report.refused) == (60, {"duplicate-key": 1})
    accepted = {
        event["id"] for path, body in gateway.calls if taken(path, body) and len(body) > 0 for event in body
    }
    assert accepted == {*good, bad}


@pytest.mark.parametrize(("number", "code"), [(401, "token-wrong"), (403, "http-403"), (404, ""), (301, "")])
def test_a_whole_body_refused_is_reported_not_repeated(
    shop: Lethe, gateway: FakeGateway, number: int, code: str
) -> None:
    gateway.usually = status(number, "token-wrong" if number == 401 else "")
    say(shop, 3)
    assert shop.flush()
    assert shop.report().refused == {code or f"http-{number}": 3}
    assert len(gateway.calls) == 1


def test_a_slow_gateway_does_not_slow_the_shop(gateway: FakeGateway) -> None:
    """Whoever waited for even one answer would have been told of it by then."""
    gateway.usually = slow(1.0)
    shop = Lethe(gateway.url, "secret", linger_seconds=0.01)
    ids = say(shop, 500)
    assert shop.report().accepted == 0
    assert shop.close()
    assert gateway.ids == ids


def test_a_gateway_slower_than_the_time_out_is_asked_again(gateway: FakeGateway, heard: Heard) -> None:
    shop = Lethe(gateway.url, "secret", timeout_seconds=0.2, on_error=heard)
    gateway.script.append(slow(0.6))
    ids = say(shop)
    assert shop.close()
    assert gateway.ids == ids * 2
    assert heard.codes == ["unreachable-ReadTimeout"]


def test_a_full_queue_refuses_the_newest_and_says_so(gateway: FakeGateway, heard: Heard) -> None:
    gateway.usually = status(503)
    shop = Lethe(gateway.url, "secret", queue_events=5, on_error=heard)
    say(shop, 5)
    assert shop.event("lethe.order.cancelled.v1", shop.new_subject(), {}) is None
    assert "queue-full" in heard.codes
    report = shop.report()
    assert (report.accepted, report.refused, report.waiting) == (0, {"queue-full": 1}, 5)
    gateway.usually = taken
    assert shop.close()
    assert shop.report().accepted == 5


def test_a_queue_is_bounded_in_bytes_too(gateway: FakeGateway) -> None:
    gateway.usually = status(503)
    shop = Lethe(gateway.url, "secret", queue_bytes=10_000)
    results = [shop.event("t", "s", {"note": "n" * 3_000}) for _ in range(5)]
    assert [bool(each) for each in results] == [True, True, True, False, False]
    shop.close(0)


def test_what_came_before_an_erasure_is_sent_before_it(shop: Lethe, gateway: FakeGateway) -> None:
    subject = shop.new_subject()
    say(shop, 3)
    erasure = shop.erase(subject)
    say(shop, 3)
    assert erasure is not None
    assert erasure.accepted(2) is True
    assert shop.flush()
    paths = [path for path, _ in gateway.calls]
    assert paths == ["/v1/events", "/v1/erasures", "/v1/events"]
    assert gateway.calls[1][1] == {"id": erasure.request, "subject": subject, "salt": erasure.salt}
    assert len(erasure.salt) == 32
    assert erasure.salt not in repr(erasure)


def test_a_wish_without_an_answer_is_repeated_unchanged(shop: Lethe, gateway: FakeGateway) -> None:
    gateway.script.extend([lost, status(503)])
    erasure = shop.erase(shop.new_subject())
    assert erasure is not None
    assert erasure.accepted(3) is True
    assert len({json.dumps(body) for _, body in gateway.calls}) == 1
    assert len(gateway.calls) == 3


def test_a_refused_wish_says_so(shop: Lethe, gateway: FakeGateway) -> None:
    gateway.usually = status(403, "subject-foreign")
    erasure = shop.erase(shop.new_subject())
    assert erasure is not None
    assert erasure.accepted(2) is False
    assert shop.report().refused == {"subject-foreign": 1}


def test_status_and_certificate_are_asked_for_and_never_raise(shop: Lethe, gateway: FakeGateway) -> None:
    gateway.script.extend(
        [
            lambda path, _: (200, {}, b'{"state": "incomplete"}'),
            lambda path, _: (200, {}, b"a.b.c"),
            status(404, "certificate-pending"),
            lost,
        ]
    )
    request = "a" * 32
    assert shop.erasure_status(request) == {"state": "incomplete"}
    assert shop.certificate(request) == "a.b.c"
    assert shop.certificate(request) is None
    assert shop.erasure_status(request) is None
    assert gateway.calls[1][0] == f"/v1/erasures/{request}/certificate"


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP: Any = {}
for _ in range(100_000):
    DEEP = {"d": DEEP}
WRONG_USE: dict[str, Callable[[Lethe], object]] = {
    "no arguments": lambda shop: shop.place(),  # type: ignore[call-arg]
    "unknown argument": lambda shop: shop.pay("s", "o", total=1),  # type: ignore[call-arg]
    "NaN": lambda shop: shop.event("t", "s", {"x": float("nan")}),
    "Decimal money": lambda shop: shop.event("t", "s", {"x": Decimal("1.10")}),
    "bytes": lambda shop: shop.event("t", "s", {"x": b"1"}),
    "time without zone": lambda shop: shop.event("t", "s", {"x": datetime(2026, 1, 1)}),  # noqa: DTZ001
    "lone surrogate": lambda shop: shop.event("t", "s", {"x": "\ud800"}),
    "circle": lambda shop: shop.event("t", "s", {"x": CIRCLE}),
    "depth": lambda shop: shop.event("t", "s", DEEP),
    "too large": lambda shop: shop.event("t", "s", {"x": "n" * 300_000}),
    "no JSON": lambda shop: shop.event("t", "s", object()),  # type: ignore[arg-type]
    "erase what": lambda shop: shop.erase(object()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WRONG_USE)
def test_wrong_use_is_counted_and_never_raised(
    shop: Lethe, gateway: FakeGateway, heard: Heard, name: str
) -> None:
    assert WRONG_USE[name](shop) is None
    assert sum(shop.report().refused.values()) == 1
    assert len(heard.codes) == 1
    assert gateway.calls == []
    say(shop)
    assert shop.flush(), "and sending goes on"


@pytest.mark.parametrize(
    ("url", "token", "code"),
    [
        ("", "t", "url-wrong"),
        ("gateway", "t", "url-wrong"),
        ("ftp://gateway", "t", "url-wrong"),
        ("http://[", "t", "url-wrong"),
        (None, "t", "url-wrong"),
        ("http://gateway", "", "token-missing"),
        ("http://gateway", "a\nb", "token-missing"),
        ("http://gateway", None, "token-missing"),
    ],
)
def test_a_hopeless_set_up_is_said_with_every_event(url: Any, token: Any, code: str, heard: Heard) -> None:
    shop = Lethe(url, token, on_error=heard, queue_events="many", colour="red")  # type: ignore[arg-type]
    assert shop.cancel(shop.new_subject(), shop.new_order()) is None
    assert shop.erase(shop.new_subject()) is None
    assert shop.certificate("a" * 32) is None
    assert heard.codes == [code, code]
    assert shop.close()


def test_a_listener_that_fails_harms_nothing(gateway: FakeGateway) -> None:
    def fail(code: str, ids: Sequence[str]) -> None:
        raise RuntimeError

    shop = Lethe(gateway.url, "secret", on_error=fail)
    gateway.script.append(status(503, retry_after="0"))
    say(shop)
    assert shop.close()


def test_a_fault_inside_the_courier_is_tried_again(shop: Lethe, heard: Heard, monkeypatch) -> None:
    deliver = courier.Courier.deliver
    faults = iter([RuntimeError()])

    def fail_once(self: courier.Courier, batch: Any) -> list[str]:
        for fault in faults:
            raise fault
        return deliver(self, batch)

    monkeypatch.setattr(courier.Courier, "deliver", fail_once)
    say(shop)
    assert shop.flush()
    assert heard.codes == ["fault-RuntimeError"]


def test_nothing_is_taken_after_the_end(shop: Lethe) -> None:
    assert shop.close()
    assert shop.cancel(shop.new_subject(), shop.new_order()) is None
    assert shop.report().refused == {"closed": 1}
    assert shop.close()


def test_many_threads_may_hand_over_at_once(shop: Lethe, gateway: FakeGateway) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(say(shop, 50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.flush()
    assert sorted(gateway.ids) == sorted(ids)
    assert shop.report().accepted == 400


def test_for_a_shops_own_tests_nothing_leaves() -> None:
    shop = Lethe("", "", send=False)
    order = shop.new_order()
    assert shop.cancel(shop.new_subject(), order)
    erasure = shop.erase(shop.new_subject())
    assert erasure is not None
    assert erasure.accepted() is True
    assert [each.get("data", {}).get("order") for each in shop.kept] == [order, None]
    assert (shop.report().accepted, shop.report().waiting) == (2, 0)
    assert shop._sender._thread is None


def run(code: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run a shop in a process of its own."""
    head = f"from services.storefront import Lethe; shop = Lethe({url!r}, 'secret', linger_seconds=5)\n"
    return subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=30)


def test_what_waits_is_sent_at_the_end_of_the_process(gateway: FakeGateway) -> None:
    ended = run("[shop.cancel(shop.new_subject(), shop.new_order()) for _ in range(7)]", gateway.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(gateway.events) == 7


def test_a_dead_gateway_does_not_keep_the_process(gateway: FakeGateway) -> None:
    gateway.usually = status(503, retry_after="30")
    began = time.monotonic()
    ended = run("shop._at_exit.args; shop.cancel(shop.new_subject(), shop.new_order())", gateway.url)
    assert ended.returncode == 0
    assert "unsent" in ended.stderr
    assert 4 < time.monotonic() - began < 12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_sends_its_own_events_and_not_its_parents(gateway: FakeGateway) -> None:
    code = """
import os
mine = shop.event("t", shop.new_subject(), {"of": "parent"})
child = os.fork()
if child == 0:
    assert shop.report().waiting == 0
    shop.event("t", shop.new_subject(), {"of": "child"})
    assert shop.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert shop.flush()
"""
    ended = run(code, gateway.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(event["data"]["of"] for event in gateway.events) == ["child", "parent"]


def test_it_imports_nothing_of_the_platform() -> None:
    allowed = {*sys.stdlib_module_names, "httpx"}
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            assert {name.partition(".")[0] for name in names} <= allowed


@pytest.mark.slow
def test_it_installs_on_its_own(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "target"
    install = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
        str(target),
    ]
    subprocess.run(
        [sys.executable, "-m", "pip", *install, str(tmp_path / "source")], check=True, cwd=tmp_path
    )
    code = f"import sys; sys.path.insert(0, {str(target)!r}); import lethe_storefront as l; print(l.Lethe, l.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert str(target) in said.stdout
