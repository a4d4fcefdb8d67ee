"""Files for people and foreign tools: the operator's Kafka login and the public keys of certificates."""

import json

from deploy.local.kafka import client_settings
from deploy.local.layout import Identity, Layout, write_whole
from deploy.local.secrets import Secrets, public_jwk
from deploy.settings import PROCESSES
from schemas.topics import OPERATOR


def write(layout: Layout, identity: Identity, secrets: Secrets) -> None:
    """Write `client/operator.kcat` (for `kcat -F`) and `client/keys.jwks`."""
    login = client_settings(identity.ports["kafka"], OPERATOR, secrets.get(OPERATOR, "kafka_password"))
    settings = "".join(f"{name}={value}\n" for name, value in login.items())
    write_whole(
        layout.client / "operator.kcat",
        "# Reads every topic, writes none: kcat -F operator.kcat -L\n" + settings,
    )
    signers = [each.principal for each in PROCESSES if "signing_key" in each.secrets]
    keys = [public_jwk(secrets.signing_key(each)) for each in sorted(signers)]
    write_whole(layout.client / "keys.jwks", json.dumps({"keys": keys}, indent=2) + "\n")
