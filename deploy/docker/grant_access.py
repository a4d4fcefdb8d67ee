"""Brings Kafka's topics and rights and the databases' roles in line with the access matrix, then ends."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.local.access import reconcile_databases, reconcile_kafka
from deploy.local.layout import CLUSTERS, Layout
from deploy.local.secrets import Secrets
from services.kernel.errors import BrokerUnavailable

PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server, spoken to as its admin."""

    host: str
    password: str
    port: int = 5432

    def run_sql(self, sql: str, database: str = "postgres") -> str:
        """Run statements and return the first value, or nothing."""
        return asyncio.run(self._run(sql, database))

    async def _run(self, sql: str, database: str) -> str:
        connection = await asyncpg.connect(
            host=self.host, port=self.port, user="admin", password=self.password, database=database
        )
        try:
            if sql.lstrip().startswith("SELECT"):
                return str(await connection.fetchval(sql) or "")
            await connection.execute(sql)
            return ""
        finally:
            await connection.close()


def main() -> None:
    """Wait for Kafka and PostgreSQL, then grant; doing it again changes nothing."""
    secrets = Secrets(Layout(Path("/")))
    login = {
        "bootstrap.servers": os.environ["LETHE_KAFKA"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "admin",
        "sasl.password": secrets.get("admin", "kafka_password"),
    }
    servers = {
        name: Server(f"postgres-{name}", secrets.get("admin", f"postgres_{name}_password"))
        for name in CLUSTERS
    }
    _patiently(lambda: reconcile_kafka(login, secrets))
    _patiently(lambda: reconcile_databases(servers, secrets))


def _patiently(step: Callable[[], None]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return step()
        except (BrokerUnavailable, OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
            if time.monotonic() > until:
                raise
            time.sleep(1)


if __name__ == "__main__":
    main()
