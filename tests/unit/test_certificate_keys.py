"""The public keys of certificates: what was signed once can be checked for ever."""

from deploy.local import client_files
from deploy.local.layout import Identity, Layout
from deploy.local.secrets import Secrets
from services.erasure.signing import key_set


def test_a_retired_key_stays_published(tmp_path):
    """A certificate outlives the key that signed it."""
    layout = Layout.at(tmp_path)
    layout.create()
    secrets, identity = Secrets(layout), Identity("platform", {"kafka": 1})
    file = layout.client / "keys.jwks"
    client_files.write(layout, identity, secrets)
    first = key_set(file.read_bytes())
    secrets.path("erasure", "signing_key").unlink()
    client_files.write(layout, identity, secrets)
    client_files.write(layout, identity, secrets)
    now = key_set(file.read_bytes())
    assert len(first) == 2 and len(now) == 3 and set(first) < set(now)
