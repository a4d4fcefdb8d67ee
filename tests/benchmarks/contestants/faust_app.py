"""The Faust application that both of its contestants share, set as its guide for production advises."""

import sys
import tempfile

import faust
from faust.types.auth import AuthProtocol, SASLMechanism

from tests.benchmarks.contestants.task import Task


def application(task: Task) -> tuple[faust.App, faust.TopicT, faust.TopicT]:
    """Return the application, where it reads and where it emits; the topics are managed elsewhere."""
    login = faust.SASLCredentials(
        username=task.username, password=task.password, mechanism=SASLMechanism.SCRAM_SHA_512
    )
    login.protocol = AuthProtocol.SASL_PLAINTEXT
    app = faust.App(
        task.group,
        broker=f"kafka://{task.kafka}",
        broker_credentials=login,
        datadir=tempfile.mkdtemp(prefix="faust-"),
        value_serializer="json",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        broker_max_poll_records=2_000,
        broker_commit_every=2_000,
        broker_commit_interval=1.0,
        producer_linger=0.005,
        producer_max_batch_size=256 * 1024,
    )
    source = app.topic(task.source, key_type=bytes)
    target = app.topic(task.target, key_type=bytes)
    return app, source, target


def run(app: faust.App) -> None:
    """Run the application's worker until killed, on uvloop."""
    sys.argv = ["faust", "--loop", "uvloop", "worker", "--loglevel", "warn", "--without-web"]
    app.main()
