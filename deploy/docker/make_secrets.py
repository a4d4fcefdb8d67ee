"""Fills the volumes of secrets before anything else starts; what is there already stays as it is.

Every container mounts the volume of its own principal and no other.
"""

import os
from pathlib import Path

from deploy.local.access import make_tokens
from deploy.local.client_files import KEYS, publish_keys
from deploy.local.layout import CLUSTERS, Layout, new_platform_id
from deploy.local.secrets import Secrets
from deploy.settings import PROCESSES
from services.kernel.broker.grants import PRINCIPALS

WORKER, KAFKA, POSTGRES = 10001, 1000, 999
"""Users of our image, of apache/kafka and of postgres."""


def main(root: Path = Path("/")) -> None:
    """Make every secret below `root`, for the user of the container that reads it."""
    secrets = Secrets(Layout(root))
    for principal in PRINCIPALS:
        secrets.get(principal, "kafka_password")
    for process in PROCESSES:
        secrets.get(process.principal, "database_password")
    make_tokens(secrets)
    secrets.put("kafka", "kafka_password", secrets.get("admin", "kafka_password"))
    secrets.get("kafka", "cluster_id", new_platform_id)
    for cluster in CLUSTERS:
        password = secrets.get("admin", f"postgres_{cluster}_password")
        secrets.put(f"postgres-{cluster}", "postgres_password", password)
    # No secret, but what the gateway publishes must come from where the keys are made.
    publish_keys(secrets.folder("gateway") / KEYS, secrets)
    for folder in secrets.layout.secrets.iterdir():
        _give(folder, _owner(folder.name))
    _give(secrets.layout.keks, WORKER)


def _owner(name: str) -> int:
    if name == "admin":
        return 0
    return KAFKA if name == "kafka" else POSTGRES if name.startswith("postgres-") else WORKER


def _give(folder: Path, user: int) -> None:
    folder.chmod(0o700)
    for path in (folder, *folder.iterdir()):
        os.chown(path, user, user)


if __name__ == "__main__":
    main()
