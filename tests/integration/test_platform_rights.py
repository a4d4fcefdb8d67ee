"""Nobody may do what the access matrix does not say: tried with real clients on a real broker and a real database."""

from collections.abc import Iterable

import asyncpg
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.settings import PROCESSES
from schemas.topics import OPERATOR, TOPICS, WORKERS, Topic, for_carrier
from services.kernel.broker.admin import BrokerAdmin
from services.kernel.broker.grants import PRINCIPALS, Grant, grants_for
from services.kernel.errors import BrokerUnavailable, ConfigurationError

QUIET = {"log_level": 0}
PATIENCE_SECONDS = 20


def refused_writes(settings: dict[str, str], topics: Iterable[str]) -> set[str]:
    """Try to write to topics; return those whose writing was refused for want of a right."""
    refused: set[str] = set()

    def note(topic: str):
        return lambda error, _: (
            error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED and refused.add(topic)
        )

    producer = Producer({**settings, **QUIET, "message.timeout.ms": PATIENCE_SECONDS * 1000})
    for topic in topics:
        producer.produce(topic, b"no", callback=note(topic))
    producer.flush(PATIENCE_SECONDS)
    return refused


def refused_reads(settings: dict[str, str], topics: Iterable[str], group: str) -> set[str]:
    """Try to read topics; return those whose reading was refused for want of a right."""
    wanted, refused = set(topics), set()
    consumer = Consumer({**settings, **QUIET, "group.id": group})
    for topic in wanted:
        error = consumer.list_topics(topic, PATIENCE_SECONDS).topics[topic].error
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            refused.add(topic)
    # Whoever may write a topic is told of it; that does not mean reading.
    consumer.assign([TopicPartition(topic, 0, 0) for topic in wanted - refused])
    for _ in range(PATIENCE_SECONDS * 2):
        if refused == wanted:
            break
        message = consumer.poll(0.5)
        error = message.error() if message is not None else None
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            refused.add(message.topic())
    consumer.close()
    return refused


@pytest.mark.parametrize("principal", WORKERS)
def test_a_worker_writes_and_reads_only_what_the_matrix_says(platform, principal):
    """Every topic that is not its own is refused, for writing and for reading (T2, D1)."""
    settings = platform.stack.kafka_settings(principal)
    not_written = {topic.name for topic in TOPICS if principal not in topic.writers}
    not_read = {topic.name for topic in TOPICS if principal not in topic.readers}
    assert refused_writes(settings, not_written) == not_written
    assert refused_reads(settings, not_read, principal) == not_read


def test_the_operator_reads_everything_and_writes_nothing(platform):
    """What people with Kafka tools see is sealed, and they cannot add to it (T2)."""
    settings = platform.stack.kafka_settings(OPERATOR)
    everything = {topic.name for topic in TOPICS}
    assert refused_writes(settings, everything) == everything
    consumer = Consumer({**settings, **QUIET, "group.id": OPERATOR, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0) for topic in everything])
    ended = set()
    for _ in range(200):
        message = consumer.poll(0.1)
        if message is not None and message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.topic())
        if ended == everything:
            break
    consumer.close()
    assert ended == everything


def test_what_nobody_was_granted_nobody_may(platform):
    """A topic and a user that no rule names: refused, not open to everybody (T2)."""
    login, topic = platform.new_user(), platform.new_topic(partitions=1)
    settings = {
        **platform.stack.kafka_settings("admin"),
        "sasl.username": login.username,
        "sasl.password": login.password,
    }
    assert refused_writes(settings, {topic}) == {topic}
    assert refused_reads(settings, {topic}, login.username) == {topic}
    # Topics have the operator's rule, which names all of them; the cluster and other people's groups have none.
    new, admin = platform.new_name(), AdminClient({**settings, **QUIET})
    with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
        admin.create_topics([NewTopic(new, 1, 1)])[new].result(PATIENCE_SECONDS)


def test_a_partner_has_its_own_two_topics_and_group_and_nothing_else(platform):
    """Not another's topic, not another's group, not a topic of the platform (D2)."""
    ours = platform.new_name()
    another = f"{ours}-west"
    for partner in (ours, another):
        topics = for_carrier(partner)
        principal = f"partner.{partner}"
        plan = platform.admin.plan(topics, [principal])
        platform.admin.apply(plan, {principal: f"password of {partner}"})
        assert not platform.admin.plan(topics, [principal])
    settings = {
        **platform.stack.kafka_settings("admin"),
        "sasl.username": f"partner.{ours}",
        "sasl.password": f"password of {ours}",
    }
    shipments, updates = f"partner.{ours}.shipments", f"partner.{ours}.updates"
    others = {"orders", f"partner.{another}.shipments", f"partner.{another}.updates"}
    assert refused_reads(settings, {*others, updates}, f"partner.{ours}.app") == {*others, updates}
    assert refused_writes(settings, {*others, shipments}) == {*others, shipments}
    for foreign in (f"partner.{another}", "orders"):
        assert group_error(settings, shipments, foreign) == KafkaError.GROUP_AUTHORIZATION_FAILED
    assert group_error(settings, shipments, f"partner.{ours}.anything") is None
    assert not platform.admin.plan(), (
        "our own principals' rights on partners' topics are not taken for strays"
    )

    platform.admin.remove_principal(f"partner.{ours}")
    with pytest.raises(BrokerUnavailable):
        BrokerAdmin(settings, patience_seconds=3).partitions()


def group_error(settings: dict[str, str], topic: str, group: str) -> int | None:
    """Try to join a group that reads a topic; return the error, or nothing once partitions were assigned."""
    assigned: list[object] = []
    consumer = Consumer({**settings, **QUIET, "group.id": group})
    consumer.subscribe([topic], on_assign=lambda _, partitions: assigned.extend(partitions))
    try:
        for _ in range(PATIENCE_SECONDS * 5):
            message = consumer.poll(0.2)
            if message is not None and message.error():
                return message.error().code()
            if assigned:
                return None
        raise AssertionError("neither joined nor refused")
    finally:
        consumer.close()


def test_a_transaction_needs_an_id_of_its_own_principal(platform):
    """Nobody can fence another's producer by taking its transactional id."""
    theirs = Producer({**platform.stack.kafka_settings("carriers"), **QUIET, "transactional.id": "orders.0"})
    with pytest.raises(KafkaException) as refused:
        theirs.init_transactions(PATIENCE_SECONDS)
    assert refused.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    Producer(
        {**platform.stack.kafka_settings("orders"), **QUIET, "transactional.id": "orders.0"}
    ).init_transactions(PATIENCE_SECONDS)


def test_nobody_gets_in_with_a_wrong_password_or_without_one(platform):
    """Default deny begins at the door."""
    settings = platform.stack.kafka_settings("orders")
    for wrong in (
        {"sasl.password": "wrong"},
        {"sasl.username": "nobody"},
        {"security.protocol": "PLAINTEXT"},
        {"sasl.mechanism": "PLAIN"},
    ):
        with pytest.raises(BrokerUnavailable):
            BrokerAdmin({**settings, **wrong}, patience_seconds=3).partitions()


def test_no_topic_appears_by_being_asked_for(platform):
    """Auto-creation is off: a typo cannot make a topic without rights and retention."""
    name = platform.new_name("typo")
    producer = Producer({**platform.stack.kafka_settings("admin"), **QUIET, "message.timeout.ms": 1500})
    producer.produce(name, b"x")
    producer.flush(5)
    assert name not in platform.admin.partitions()


def test_plan_finds_what_somebody_changed_and_apply_mends_it(platform):
    """A right too many, a right too few, a topic too long kept: back to the matrix (T2, T3)."""
    admin = platform.admin
    stray = Grant("carriers", "READ", "TOPIC", "certificates")
    missing = Grant(OPERATOR, "DESCRIBE", "GROUP", "*")
    admin.grant([stray])
    admin.remove_grants([missing])
    admin.configure({"erasure.requests": {"segment.ms": "3600000"}})
    plan = admin.plan()
    assert (plan.grant, plan.revoke) == ((missing,), (stray,))
    assert [name for name, _ in plan.configure] == ["erasure.requests"]
    assert any("revoke carriers: READ TOPIC certificates" in line for line in plan.lines())
    admin.apply(plan, {})
    assert not admin.plan() and grants_for() <= admin.grants()


def test_a_topic_with_another_number_of_partitions_is_refused(platform):
    """Twelve for ever: more would send a subject's next event to another lane than its erasure."""
    name = platform.new_topic(partitions=3)
    plan = platform.admin.plan([*TOPICS, Topic(name, (), frozenset(), frozenset())], PRINCIPALS)
    assert plan.refused == (f"{name} has 3 partitions, declared are 12",)
    with pytest.raises(ConfigurationError):
        platform.admin.apply(plan, {})


async def test_a_role_sees_its_own_schema_and_no_other(platform):
    """Whoever breaks into one worker has that worker's rows, not its neighbours' (T2)."""
    owner = await asyncpg.connect(platform.stack.dsn("gateway"))
    intruder = await asyncpg.connect(platform.stack.dsn("orders"))
    try:
        await owner.execute("CREATE TABLE private_rows (n int)")
        assert await owner.fetchval("SELECT current_schema()") == "gateway"
        for attempt in (
            "SELECT * FROM gateway.private_rows",
            "INSERT INTO gateway.private_rows VALUES (1)",
            "CREATE TABLE gateway.mine (n int)",
            "CREATE TABLE public.mine (n int)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "SET ROLE gateway",
            "COPY (SELECT 1) TO PROGRAM 'true'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await intruder.execute(attempt)
    finally:
        await owner.execute("DROP TABLE private_rows")
        await owner.close()
        await intruder.close()


@pytest.mark.parametrize("cluster", ["data", "keyring"])
async def test_a_role_enters_its_own_database_only(platform, cluster):
    """The keyring's cluster knows no other worker's role; no role enters the databases of the system."""
    own = {each.principal: each for each in PROCESSES if each.cluster == cluster}
    for principal in WORKERS:
        dsn = platform.stack.dsn(principal)
        port = platform.stack.clusters[cluster].port
        password = dsn.split(":")[2].split("@")[0]
        for database in ("postgres", "template1", "lethe", "keyring"):
            if principal in own and database == own[principal].database:
                continue
            with pytest.raises(asyncpg.PostgresError):
                await asyncpg.connect(
                    host="127.0.0.1", port=port, user=principal, password=password, database=database
                )


async def test_a_failed_statement_leaves_no_value_in_the_log(platform):
    """A unique violation names the row, a bad cast the text: neither reaches the server's log (T1)."""
    connection = await asyncpg.connect(platform.new_database())
    canary = "canary-in-a-statement"
    await connection.execute("CREATE TABLE people (name text PRIMARY KEY)")
    await connection.execute("INSERT INTO people VALUES ($1)", canary)
    for statement in ("INSERT INTO people VALUES ($1)", "SELECT $1::text::int"):
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement, canary)
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute(f"SELECT '{canary}'::int")
    await connection.close()
    log = platform.stack.layout.log("postgres-data").read_text("utf-8")
    assert "database system is ready" in log and canary not in log


async def test_the_databases_are_not_reached_without_a_password(platform):
    """No trust, no socket: SCRAM on the loopback or nothing."""
    cluster = platform.stack.clusters["data"]
    with pytest.raises(asyncpg.PostgresError):
        await asyncpg.connect(
            host="127.0.0.1", port=cluster.port, user="admin", password="wrong", database="lethe"
        )
    assert cluster.run_sql("SHOW unix_socket_directories").strip() == ""
    assert cluster.run_sql("SHOW listen_addresses").strip() == "127.0.0.1"
    assert (
        cluster.run_sql("SELECT count(*) FROM pg_authid WHERE rolpassword NOT LIKE 'SCRAM-SHA-256$%'")
        == "0\n"
    )
