"""Quix Streams as its documentation shows it: a streaming data frame into a topic and into its PostgreSQL sink."""

from urllib.parse import urlsplit

from quixstreams import Application
from quixstreams.kafka.configuration import ConnectionConfig
from quixstreams.models import TopicConfig
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from tests.benchmarks.contestants.task import Task, event_of

task = Task.given()
login = urlsplit(task.dsn)
app = Application(
    ConnectionConfig(
        bootstrap_servers=task.kafka,
        security_protocol="sasl_plaintext",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=task.username,
        sasl_password=task.password,
    ),
    consumer_group=task.group,
    auto_offset_reset="earliest",
    auto_create_topics=False,
    commit_every=5_000,
    commit_interval=1.0,
    loglevel="WARNING",
)
sink = PostgreSQLSink(
    host=login.hostname,
    port=login.port,
    dbname=login.path.strip("/"),
    user=login.username,
    password=login.password,
    schema_name=login.username,
    table_name="state",
    schema_auto_update=False,
    on_conflict_do_nothing=True,
    include_metadata=False,
)


def row(order, key, _timestamp, _headers):
    """Return the columns by name; the sink writes them as they are."""
    return {
        "order_id": order["order"], "subject": key.decode(), "stage": "placed",
        "carrier": order["carrier"], "basket": order["basket"], "ship_to": order["ship_to"],
    }  # fmt: skip


config = TopicConfig(num_partitions=12, replication_factor=1)
orders = app.dataframe(
    app.topic(task.source, key_deserializer="bytes", value_deserializer="json", config=config)
)
orders.apply(event_of).to_topic(
    app.topic(task.target, key_serializer="bytes", value_serializer="json", config=config)
)
orders.apply(row, metadata=True).sink(sink)

if __name__ == "__main__":
    app.run()
