"""Somebody is not there: through an erasure, before its first day, or for longer than records are kept."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local.errors import PlatformUnavailable
from tests.faults import faults
from tests.faults.faulty import Faulty, faulty_platform
from tests.faults.history import History
from tests.faults.trial import Trial
from tests.fixtures import evidence
from tests.fixtures.evidence import WORKERS, await_
from tests.fixtures.lethe import lethe
from tests.fixtures.shop import new_id, placed

Begin = Callable[..., Trial]
REFUSED = 78
"""Exit code of a worker that refuses to go on like this (EX_CONFIG of sysexits.h)."""


@pytest.mark.full
def test_a_worker_is_away_through_erasures(trial: Begin, faulty: Faulty) -> None:
    """One after the other: nothing is certified without it, and then everything ends as if it had been there (R3)."""
    it = trial(orders=120, people=5, phases=len(WORKERS) + 1)
    it.load()
    for worker in WORKERS:
        with it.fault("away", worker), faults.away(faulty, worker):
            it.load()
            time.sleep(10)
    it.judge()


@pytest.mark.full
def test_an_owner_that_comes_back_obeys_before_it_reads_on(trial: Begin, faulty: Faulty) -> None:
    """Orders and carriers are away while people are forgotten; the ledger comes first, nobody comes back (R3, T1)."""
    it = trial(orders=45, people=4)
    with it.fault("away", "orders, carriers"):
        faulty.stack.stop_worker("orders", "carriers")
        it.load()
        it.load()
        told = [await_("incomplete", lambda name=each: _missing(faulty, name)) for each in it.requests(2)]
        assert all(set(each) == {"orders", "carriers"} for each in told)
        faulty.repair("orders-1", "carriers-1")
    it.judge()


def _missing(faulty: Faulty, request: str) -> list[str]:
    answer = faulty.shop.erasure(request)
    return answer["missing"] if answer["state"] == "incomplete" else []


@pytest.mark.full
def test_a_worker_is_added_later(
    tmp_path_factory: pytest.TempPathFactory, history: History, seed: int
) -> None:
    """Orders starts for the first time after orders were taken and people forgotten: as if always there (R3, T1)."""
    folder = tmp_path_factory.mktemp("later")
    with faulty_platform(folder, only=("keyring", "erasure", "carriers", "gateway")) as faulty:
        it = Trial(faulty, history, seed, orders=60, people=3).begin(rest=False)
        with it.fault("not there yet", "orders"):
            it.load()
            it.load()
            (request, *_) = it.requests(1)
            assert await_("incomplete", lambda: _missing(faulty, request)) == ["orders"]
            faulty.repair("orders-1")
        it.judge()


@pytest.fixture(scope="module")
def wrecked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A platform from which records are taken away for good."""
    with faulty_platform(tmp_path_factory.mktemp("wrecked")) as found:
        yield found


@pytest.fixture
def lost(wrecked: Faulty, history: History, seed: int) -> Trial:
    return Trial(wrecked, history, seed, orders=30, people=2).begin()


@pytest.mark.full
def test_a_worker_is_away_for_longer_than_its_topic_keeps(wrecked: Faulty, lost: Trial) -> None:
    """It refuses, says why and where, and goes on only by the operator's word; erasures are obeyed all the same."""
    lost.load()
    lost.load()
    lost.judge()
    wrecked.stack.stop_worker("orders")
    gone, later = [(new_id(), new_id()) for _ in range(24)], [(new_id(), new_id()) for _ in range(24)]
    carrier = wrecked.carriers[0].name
    wrecked.shop.say(*(placed(*each, carrier) for each in gone))
    forgotten = wrecked.shop.erase(gone[0][0])
    await_("incomplete", lambda: _missing(wrecked, forgotten))
    _expire(wrecked, "orders")
    wrecked.shop.say(*(placed(*each, carrier) for each in later))

    refusal = _refusal(wrecked, "orders-1")
    assert (refusal["code"], refusal.get("topic")) == ("records-expired-unread", "orders")
    assert refusal["partition"] in range(12)
    assert _refusal(wrecked, "orders-1")["code"] == "records-expired-unread", (
        "it refuses as often as it is started"
    )
    lethe(wrecked.state, "up", "--restored")
    await_("what was not lost is read", lambda: _known(wrecked, later) == len(later))
    assert _known(wrecked, gone) == 0
    await_("certified", lambda: wrecked.shop.erasure(forgotten)["state"] == "certified", 120)


@pytest.mark.full
def test_a_topic_is_recreated(wrecked: Faulty) -> None:
    """Its offsets would mean other records: refused by name, until the operator says that it is so on purpose (T1)."""
    before = [(new_id(), new_id()) for _ in range(12)]
    carrier = wrecked.carriers[0].name
    wrecked.shop.say(*(placed(*each, carrier) for each in before))
    await_("placed", lambda: _known(wrecked, before) == len(before))
    wrecked.stack.stop_worker("orders", "gateway")
    _recreate(wrecked, "orders")
    refusal = _refusal(wrecked, "orders-1")
    assert (refusal["code"], refusal.get("topic")) == ("topic-recreated", "orders")
    lethe(wrecked.state, "up", "--restored")
    after = [(new_id(), new_id()) for _ in range(12)]
    wrecked.shop.say(*(placed(*each, carrier) for each in after))
    await_("placed", lambda: _known(wrecked, after) == len(after))
    assert _known(wrecked, before) == len(before)


def _known(faulty: Faulty, orders: list[tuple[str, str]]) -> int:
    sql = "SELECT count(*) FROM {schema}.orders WHERE order_id = ANY ($1::text[])"
    return evidence.of_worker(faulty.stack, "orders", sql, [order for _, order in orders])[0]["count"]


def _refusal(faulty: Faulty, instance: str) -> dict[str, object]:
    """Start a worker that must refuse; return what it says of it, its last line in the log."""
    with pytest.raises(PlatformUnavailable):
        faulty.stack.restart(instance)
    assert faulty.stack.exit_code(instance) == REFUSED
    lines = faulty.stack.layout.log(instance).read_text("utf-8").splitlines()
    return next(said for line in reversed(lines) if (said := json.loads(line))["event"] == "refused")


def _admin(faulty: Faulty) -> AdminClient:
    return AdminClient(faulty.stack.kafka_settings("admin"))


def _expire(faulty: Faulty, topic: str) -> None:
    """Delete everything that lies on a topic now, as its retention would."""
    ends = evidence.marks(faulty.stack)
    places = [TopicPartition(*at, end) for at, end in ends.items() if at[0] == topic]
    admin = _admin(faulty)
    for future in admin.delete_records(places).values():
        future.result(30)


def _recreate(faulty: Faulty, topic: str) -> None:
    admin, partitions = _admin(faulty), sum(at[0] == topic for at in evidence.marks(faulty.stack))
    for future in admin.delete_topics([topic], operation_timeout=30).values():
        future.result(30)
    await_("deleted", lambda: topic not in admin.list_topics(timeout=20).topics)
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(30)
