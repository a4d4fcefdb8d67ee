"""Who may do what on a platform, brought in line with the access matrix: Kafka's users and rights, database roles."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from deploy.local.secrets import Secrets, scram_verifier
from deploy.settings import PROCESSES
from schemas.topics import OPERATOR, WORKERS
from services.kernel.broker.admin import BrokerAdmin
from services.kernel.broker.grants import PRINCIPALS


class Server(Protocol):
    """A PostgreSQL server, spoken to as its admin."""

    def run_sql(self, sql: str, database: str = "postgres") -> str:
        """Run statements and return the value that they select, or nothing."""


def reconcile_kafka(settings: Mapping[str, str], secrets: Secrets) -> None:
    """Create what is missing of topics, users and rights, and take away rights that nobody should have."""
    # A password that has to be made belongs to a user whose old one, if there was any, is lost.
    renewed = {each for each in PRINCIPALS if not secrets.path(each, "kafka_password").exists()}
    passwords = {each: secrets.get(each, "kafka_password") for each in PRINCIPALS}
    admin = BrokerAdmin(settings)
    plan = admin.plan()
    admin.apply(plan, passwords)
    admin.set_passwords({each: passwords[each] for each in renewed - set(plan.users)})


def make_tokens(secrets: Secrets) -> None:
    """Give each of our principals its token for the keyring, and the signers their keys."""
    secrets.keyring_tokens((*WORKERS, OPERATOR))
    for process in PROCESSES:
        if "signing_key" in process.secrets:
            secrets.signing_key(process.principal)


def reconcile_databases(servers: Mapping[str, Server], secrets: Secrets) -> None:
    """Give each worker a role of its own, and a schema of the same name that no other role can enter."""
    for name, server in servers.items():
        processes = [each for each in PROCESSES if each.cluster == name]
        for database in sorted({each.database for each in processes}):
            make_database(server, database)
            roles = [each.principal for each in processes if each.database == database]
            make_roles(server, database, {role: secrets.get(role, "database_password") for role in roles})


def make_database(server: Server, database: str) -> None:
    """Create a database that nobody may enter unless told so; leave an existing one as it is."""
    if not server.run_sql(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"):
        server.run_sql(f'CREATE DATABASE "{database}"')
    closed = (f'REVOKE ALL ON DATABASE "{each}" FROM PUBLIC;' for each in (database, "postgres", "template1"))
    server.run_sql("\n".join(closed))
    server.run_sql("REVOKE ALL ON SCHEMA public FROM PUBLIC", database)


def make_roles(server: Server, database: str, passwords: Mapping[str, str]) -> None:
    """Create roles with a schema of their own, or renew their passwords."""
    statements: Iterable[str] = (_role(role, database, password) for role, password in passwords.items())
    server.run_sql("\n".join(statements), database)


def _role(role: str, database: str, password: str) -> str:
    # The verifier stands for the password: no statement, log or statistics view ever holds the password itself.
    return f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                CREATE ROLE "{role}" NOINHERIT;
            END IF;
        END $$;
        ALTER ROLE "{role}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
            PASSWORD '{scram_verifier(password)}';
        GRANT CONNECT ON DATABASE "{database}" TO "{role}";
        CREATE SCHEMA IF NOT EXISTS "{role}" AUTHORIZATION "{role}";
        ALTER ROLE "{role}" IN DATABASE "{database}" SET search_path = "{role}";
    """
