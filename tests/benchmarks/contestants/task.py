"""The work that is the same for all: decode an order, keep one row of it, emit one event.

Runs in the environment of the contestants too, so it imports nothing of the project.
"""

import os
from dataclasses import dataclass, fields

import orjson

TABLE = """
    CREATE TABLE state (
        order_id text PRIMARY KEY,
        subject text NOT NULL,
        stage text NOT NULL,
        carrier text NOT NULL,
        basket text STORAGE EXTERNAL,
        ship_to text STORAGE EXTERNAL
    )
"""
"""The columns of `orders.orders` that a placed order fills, stored as they are there: not compressed."""
INSERT = "INSERT INTO state VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
INSERT_MANY = """
    INSERT INTO state SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    ON CONFLICT DO NOTHING
"""
"""A redelivered order changes nothing, so no contestant is stopped by one."""
Row = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class Task:
    """Where a contestant reads, keeps and emits."""

    kafka: str
    username: str
    password: str
    dsn: str
    source: str
    target: str
    group: str

    @classmethod
    def given(cls) -> "Task":
        """Return the task that the environment tells."""
        return cls(*(os.environ[f"BENCH_{field.name.upper()}"] for field in fields(cls)))

    def environment(self) -> dict[str, str]:
        """Return the environment that tells this task."""
        return {f"BENCH_{field.name.upper()}": getattr(self, field.name) for field in fields(self)}

    @property
    def login(self) -> dict[str, object]:
        """How aiokafka logs in."""
        return {
            "bootstrap_servers": self.kafka,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }


def row_of(key: bytes, order: dict[str, str]) -> Row:
    """Return the row of a decoded order."""
    return order["order"], key.decode(), "placed", order["carrier"], order["basket"], order["ship_to"]


def event_of(order: dict[str, str]) -> dict[str, object]:
    """Return the event that follows: what the orders worker says of a placed order."""
    return {"order": order["order"], "revision": 1, "holds": _HOLDS}


def emitted(order: dict[str, str]) -> bytes:
    """Return that event as it travels."""
    return orjson.dumps(event_of(order))


_HOLDS = [{"category": each, "ground": "open-order"} for each in ("transaction", "logistics", "accounting")]
