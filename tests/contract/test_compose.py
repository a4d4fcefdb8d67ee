"""`docker-compose.yml`: generated from the settings of the embedded platform, and accepted by Compose."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy import compose
from deploy.docker import make_secrets
from deploy.docker.grant_access import Server
from deploy.local.access import reconcile_databases
from deploy.local.layout import Layout
from deploy.local.secrets import Secrets, public_jwk
from deploy.settings import PROCESSES, STOP_SECONDS
from services.gateway.clicks.anonymiser import LAST_SECONDS
from services.kernel.http.server import FINISH_SECONDS


def test_the_committed_files_are_what_the_settings_say():
    """Nobody edits generated files, and nobody forgets to generate them: `make compose`."""
    assert compose.COMPOSE.read_text("utf-8") == compose.render()
    assert compose.PROPERTIES.read_text("utf-8") == compose.properties()


def test_compose_accepts_the_file(tool):
    """Only the configuration is checked: there is no engine here that could start it."""
    docker_compose = tool("docker-compose")
    done = subprocess.run(
        [docker_compose, "-f", str(compose.COMPOSE), "config"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(compose.document()["services"])


def test_every_worker_can_be_scaled():
    """`--scale orders=3` needs containers without a name and without a port of the host that only one can have."""
    for process in PROCESSES:
        service = compose.document()["services"][process.principal]
        assert "container_name" not in service and "hostname" not in service
        assert all(port.startswith("127.0.0.1::") for port in service.get("ports", ()))
        assert "LETHE_INSTANCE" not in service["environment"]


def test_nobody_is_killed_while_what_is_in_hand_is_answered_and_crowds_leave():
    assert STOP_SECONDS > FINISH_SECONDS + LAST_SECONDS
    stopping = [each for each in compose.document()["services"].values() if each.get("restart")]
    assert len(stopping) == len(PROCESSES) + 3
    assert {each["stop_grace_period"] for each in stopping} == {f"{STOP_SECONDS}s"}


def test_a_container_gets_the_secrets_of_its_own_principal_only():
    """One volume per principal; only the two that set the platform up see all of them."""
    for name, service in compose.document()["services"].items():
        mounted = {each.split(":")[0] for each in service["volumes"] if each.startswith("secrets-")}
        assert mounted == {f"secrets-{name}"} or name in ("secrets", "access")


def test_only_the_keyring_reaches_the_keyring_database():
    """The keys' database is on a network of its own."""
    services = compose.document()["services"]
    inside = {name for name, service in services.items() if "keyring-store" in service.get("networks", ())}
    assert inside == {"postgres-keyring", "keyring", "access"}


def test_no_secret_is_in_the_file():
    """Passwords are made at the first start, in volumes; the environment names places only."""
    text = json.dumps(compose.document())
    assert "jaas" not in text and "password=" not in text
    assert "jaas" not in compose.properties()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away, as the container of this step does")
def test_every_secret_belongs_to_the_user_of_its_container(tmp_path: Path):
    """Nobody else inside or outside the container can read it; a second start changes nothing."""
    for folder in ("secrets", "keks", *(f"secrets/{each}" for each in ("admin", "kafka", "orders"))):
        (tmp_path / folder).mkdir()
    make_secrets.main(tmp_path)
    files = {path: path.read_text() for path in (tmp_path / "secrets").rglob("*") if path.is_file()}
    owners = {str(path.relative_to(tmp_path / "secrets")): path.stat().st_uid for path in files}
    assert owners["orders/kafka_password"] == 10001 and owners["keyring/signing_key"] == 10001
    assert owners["kafka/kafka_password"] == 1000 and owners["postgres-data/postgres_password"] == 999
    assert owners["admin/kafka_password"] == 0
    assert not any(path.stat().st_mode & 0o077 for path in (*files, *(tmp_path / "secrets").iterdir()))
    make_secrets.main(tmp_path)
    assert files == {path: path.read_text() for path in files}


def test_the_gateway_publishes_the_keys_of_the_platform_it_belongs_to(tmp_path: Path, monkeypatch):
    """Else nobody could verify a certificate of this platform with what `/.well-known/jwks.json` says."""
    monkeypatch.setattr(make_secrets, "_give", lambda folder, user: None)
    for folder in ("secrets", "keks"):
        (tmp_path / folder).mkdir()
    make_secrets.main(tmp_path)
    service = compose.document()["services"]["gateway"]
    inside = Path(service["environment"]["LETHE_CERTIFICATE_KEYS"])
    assert f"secrets-gateway:{inside.parent}:ro" in service["volumes"]
    published = json.loads((tmp_path / "secrets" / "gateway" / inside.name).read_text())["keys"]
    secrets = Secrets(Layout(tmp_path))
    assert published == [public_jwk(secrets.signing_key(each)) for each in ("erasure", "keyring")]
    assert not any("d" in key for key in published)


def test_roles_are_made_without_the_tools_of_the_embedded_platform(platform):
    """The image has no psql: the same statements go through the driver, and once more changes nothing."""
    stack = platform.stack
    servers = {
        name: Server("127.0.0.1", cluster.password, cluster.port) for name, cluster in stack.clusters.items()
    }
    for _ in range(2):
        reconcile_databases(servers, stack.secrets)
    schemas = (
        "SELECT count(*) FROM pg_namespace WHERE nspname IN ('gateway', 'orders', 'carriers', 'erasure')"
    )
    assert servers["data"].run_sql(schemas, "lethe") == "4"
