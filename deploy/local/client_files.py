"""Files for people and foreign tools: a kcat that works, the operator's login, the public keys of certificates."""

import importlib.util
import json
from pathlib import Path

from deploy.local.kafka import client_settings
from deploy.local.layout import Identity, Layout, write_whole
from deploy.local.secrets import Secrets, public_jwk
from deploy.settings import PROCESSES
from schemas.topics import OPERATOR

KEYS = "keys.jwks"
"""The public keys of certificates and of the keyring's statements."""
KCAT = """\
#!/bin/sh
# kcat as it is installed, with a librdkafka that Kafka 4 lets in: versions before 2.6.1, such as the one of
# Debian 12, repeat a nonce in the SCRAM login, which brokers have refused since they check it.
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec kcat "$@"
"""


def write(layout: Layout, identity: Identity, secrets: Secrets) -> None:
    """Write `client/kcat`, `client/operator.kcat` (for `kcat -F`) and `client/keys.jwks`."""
    login = client_settings(identity.ports["kafka"], OPERATOR, secrets.get(OPERATOR, "kafka_password"))
    settings = "".join(f"{name}={value}\n" for name, value in login.items())
    write_whole(
        layout.client / "operator.kcat",
        f"# Reads every topic, writes none: ./kcat -F operator.kcat -L\n{settings}",
    )
    publish_keys(layout.client / KEYS, secrets)
    write_whole(layout.client / "kcat", KCAT, mode=0o700)
    _lend_library(layout.client / "lib")


def publish_keys(path: Path, secrets: Secrets) -> None:
    """Write the public keys; one that is no longer used stays, so that old certificates can be checked for ever."""
    signers = [each.principal for each in PROCESSES if "signing_key" in each.secrets]
    keys = [public_jwk(secrets.signing_key(each)) for each in sorted(signers)]
    known = json.loads(path.read_text("utf-8"))["keys"] if path.exists() else []
    current = {key["kid"] for key in keys}
    retired = [key for key in known if key["kid"] not in current]
    write_whole(path, json.dumps({"keys": keys + retired}, indent=2) + "\n")


def _lend_library(folder: Path) -> None:
    """Put the Python client's librdkafka where `client/kcat` looks for one; if it has none, kcat uses its own."""
    spec = importlib.util.find_spec("confluent_kafka")
    packages = Path(spec.origin).parents[1] if spec and spec.origin else Path()
    for library in packages.glob("confluent_kafka.libs/librdkafka*.so*"):
        folder.mkdir(exist_ok=True, mode=0o700)
        link = folder / "librdkafka.so.1"
        link.unlink(missing_ok=True)
        link.symlink_to(library)
