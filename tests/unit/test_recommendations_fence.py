"""Faust is held to what it can be trusted with, and watched: settings, isolation, our own errors, standing still."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from pydantic import SecretStr

from schemas.topics import LANES, RECOMMENDATIONS_ROWS, STATISTICS
from services.kernel.broker.interface import Message
from services.kernel.broker.memory import MemoryBroker
from services.kernel.errors import BrokerUnavailable, ConfigurationError
from services.recommendations import fence
from services.recommendations.app import wired
from services.recommendations.fence import CommittedConsumer, CommittedThread, application, rows_of
from services.recommendations.settings import Settings
from services.recommendations.watch import STILL_LOOKS, Stalled, Watch

READ, CHANGELOG = TP(STATISTICS.name, 3), TP(RECOMMENDATIONS_ROWS.name, 3)


def reader(settings: Settings) -> CommittedConsumer:
    """Return a consumer that was given two partitions and reads neither of them yet."""
    app = application(settings)
    rows_of(app)
    app.consumer._set_active_tps({READ, CHANGELOG})
    app.consumer.pause_partitions({READ, CHANGELOG})
    return app.consumer


@pytest.fixture
def settings(monkeypatch) -> Settings:
    monkeypatch.delenv("LETHE_SECRETS", raising=False)
    return Settings(
        principal="recommendations",
        instance="recommendations-1",
        kafka="127.0.0.1:9",
        kafka_password=SecretStr("x"),
    )


async def test_faust_may_not_declare_serve_or_write_files(settings, monkeypatch, tmp_path):
    """Whatever its environment says: Faust listens to some eighty variables, none of them ours."""
    monkeypatch.chdir(tmp_path)
    hostile = {"WEB_ENABLED": "1", "TOPIC_ALLOW_DECLARE": "1", "BROKER_URL": "kafka://elsewhere"}
    hostile |= {
        "PROCESSING_GUARANTEE": "exactly_once",
        "TABLE_STANDBY_REPLICAS": "3",
        "BROKER_CHECK_CRCS": "0",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(f"APP_{name}", value)
    app = application(settings)
    app.finalize()
    conf = app.conf
    assert not conf.web_enabled and not conf.topic_allow_declare and conf.topic_disable_leader
    assert [str(url) for url in conf.broker] == ["kafka://127.0.0.1:9"] and conf.id == "recommendations"
    assert conf.processing_guarantee.value == "at_least_once" and conf.table_standby_replicas == 0
    assert conf.broker_check_crcs
    app._create_directories()
    assert list(tmp_path.iterdir()) == []


async def test_its_consumer_reads_committed_records_only(settings):
    """Before it is started; Faust says uncommitted."""
    app = application(settings)
    rows_of(app)
    thread = app.consumer._thread
    assert isinstance(thread, CommittedThread)
    consumer = thread._create_worker_consumer(app.transport)
    assert consumer._isolation_level == "read_committed"


async def test_a_driver_that_is_built_otherwise_is_refused(settings, monkeypatch):
    """A field of that name that nobody reads would be a fence on paper."""
    app = application(settings)
    rows_of(app)
    monkeypatch.setattr(
        fence.driver.aiokafka, "AIOKafkaConsumer", lambda **_: SimpleNamespace(_isolation="x")
    )
    with pytest.raises(ConfigurationError, match="faust-unknown"):
        app.consumer._thread._create_worker_consumer(app.transport)


async def test_statistics_are_read_from_when_nothing_drops_them_any_more(settings):
    """Faust resumes their partitions, seeks, empties its queues, resumes the flow: in this order."""
    consumer = reader(settings)
    consumer.resume_partitions({CHANGELOG, READ})
    assert consumer._active_partitions == {CHANGELOG}
    consumer.resume_flow()
    assert consumer._active_partitions == {CHANGELOG, READ}


async def test_a_rebalance_in_between_takes_the_partition_back(settings):
    """Paused again before the flow went on, it waits for the next recovery: its place has not been sought."""
    consumer = reader(settings)
    consumer.resume_partitions({READ})
    consumer.pause_partitions({READ})
    consumer.resume_flow()
    assert consumer._active_partitions == set()


async def test_a_fetch_ends_with_what_it_was_begun_with_before_anything_is_sought(settings):
    """Its partitions may be paused meanwhile; none at all means all of them to aiokafka."""
    consumer, happened = reader(settings), []
    begun, answered = asyncio.Event(), asyncio.Event()

    async def fetch(active: set[TP], timeout: float) -> dict[TP, list[object]]:
        begun.set()
        await answered.wait()
        happened.append(set(active))
        return {}

    async def seek() -> dict[TP, int]:
        happened.append("sought")
        return {}

    consumer._thread = SimpleNamespace(getmany=fetch, seek_to_committed=seek)
    consumer.resume_partitions({CHANGELOG})
    fetching = asyncio.create_task(consumer._getmany(consumer._active_partitions, 1.0))
    await begun.wait()
    seeking = asyncio.create_task(consumer.perform_seek())
    consumer.pause_partitions({CHANGELOG})
    await asyncio.sleep(0)
    answered.set()
    await asyncio.gather(fetching, seeking)
    assert happened == [{CHANGELOG}, "sought"]


async def test_its_table_writes_no_changelog(settings):
    """The keeper does, and waits; a second writer that nobody waits for would be the old trouble."""
    app = application(settings)
    rows = rows_of(app)
    rows[b"row"] = b"1"
    assert rows.changelog_topic_name == RECOMMENDATIONS_ROWS.name
    assert rows.pop(b"row") == b"1" and rows.get(b"row") is None
    assert app.producer.buffer.size == 0


async def test_its_keeper_tells_nothing_until_it_has_recovered(settings):
    """Nor from the moment on in which a rebalance begins."""
    app = application(settings)
    keeper = wired(app, MemoryBroker({}).producer(), settings)
    seen = []
    for app.tables.actives_ready, app.rebalancing in ((False, False), (True, False), (True, True)):
        seen.append(keeper._ours())
    assert seen == [False, True, False]


async def test_an_error_of_our_own_is_kept_and_stops_the_reading(settings):
    """Faust would log it, and go on to the next record."""
    app = application(settings)
    wrong = ValueError("wrong")
    with pytest.raises(asyncio.CancelledError), app.ours():
        raise wrong
    assert app.bug is wrong
    with pytest.raises(asyncio.CancelledError), app.ours():
        pytest.fail("went on")


async def test_a_crash_of_faust_is_heard_of(settings):
    """Otherwise a crashed application is a process that is alive and idle."""
    app = application(settings)
    app._crash(RuntimeError("gone"))
    with pytest.raises(RuntimeError, match="gone"):
        await app.broken


class App:
    """As much of an application as a watch asks for."""

    recovered = True

    def __init__(self) -> None:
        self.at = dict.fromkeys(range(LANES), 0)

    async def positions(self) -> dict[int, int]:
        return dict(self.at)

    def recovering(self) -> dict[int, int]:
        return dict(self.at)


@pytest.fixture
async def broker() -> MemoryBroker:
    made = MemoryBroker({STATISTICS.name: LANES})
    await made.producer().send([Message(STATISTICS.name, b"shop", b"x", (), partition=3)])
    return made


async def test_records_that_wait_while_nothing_moves_are_a_stall(broker):
    """After so many looks that it is no coincidence."""
    watch = Watch(App(), broker)
    for _ in range(STILL_LOOKS):
        await watch.look()
    with pytest.raises(Stalled):
        await watch.look()


async def test_who_has_read_everything_or_gets_on_is_not_stalled(broker):
    """Nor is one who recovers for long, as long as it gets on."""
    done, moving = App(), App()
    done.at[3] = 1
    looks = Watch(done, broker), Watch(moving, broker)
    for number in range(3 * STILL_LOOKS):
        moving.at[0] += number % 2
        moving.recovered = number < STILL_LOOKS
        for watch in looks:
            await watch.look()


async def test_a_recovery_that_gets_no_further_is_a_stall(broker):
    """Faust waits for ever for a changelog's last offset that is not there."""
    app = App()
    app.recovered = False
    watch = Watch(app, broker)
    with pytest.raises(Stalled):
        for _ in range(STILL_LOOKS + 1):
            await watch.look()


async def test_an_absent_broker_is_no_stall(broker):
    """Nothing can be compared; the consumer will come back with it."""
    app = App()
    watch = Watch(app, broker, look_seconds=0.001)
    broker.away = True
    with pytest.raises(BrokerUnavailable):
        await watch.look()
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0.1)
    broker.away = False
    assert not running.done()
    running.cancel()
