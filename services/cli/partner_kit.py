"""What a partner is handed: its login, its topics, and how to use them with tools that everybody has."""

from pathlib import Path

from deploy.local.layout import write_whole
from deploy.local.stack import Stack
from schemas.deliveries import TrackingStatus
from schemas.partners import CopyErased, CopyRevoked, ParcelOffered, ParcelReported
from schemas.topics import for_carrier


def principal_of(partner: str) -> str:
    """Return a partner's user at Kafka."""
    return f"partner.{partner}"


def folder_of(platform: Stack, partner: str) -> Path:
    """Return where a partner's kit lies."""
    return platform.layout.client / "partners" / partner


def write(platform: Stack, partner: str) -> Path:
    """Write a partner's kit, readable by its owner only, and return its folder; an older one is replaced."""
    folder = folder_of(platform, partner)
    folder.parent.mkdir(exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    login = platform.kafka_settings(principal_of(partner))
    settings = "".join(f"{name}={value}\n" for name, value in login.items())
    out, updates = (topic.name for topic in for_carrier(partner))
    write_whole(folder / "kcat.conf", f"# kcat -F kcat.conf … ; holds the password\n{settings}")
    write_whole(
        folder / "topics",
        f"# to be sourced by a shell\nSHIPMENTS={out}\nUPDATES={updates}\nGROUP={principal_of(partner)}\n",
    )
    write_whole(folder / "README", _README.format(partner=partner, out=out, updates=updates, **_TYPES))
    return folder


_TYPES = {
    "offered": ParcelOffered.type,
    "revoked": CopyRevoked.type,
    "reported": ParcelReported.type,
    "erased": CopyErased.type,
    "statuses": " ".join(TrackingStatus),
}
_README = """\
What this is: the access of partner {partner} to its two topics. Nothing of ours is needed: any Kafka client reads and
writes (SCRAM-SHA-512), any JOSE library opens labels (ECDH-ES+A256KW, A256GCM, with your private key).

Read      {out}
          The key is the reference: it stands for one parcel with you, and for nothing anywhere else.
          {offered}    {{"reference", "service", "label"}}; the label is a compact JWE of JSON
          {revoked}     no value, header ce_reason: erase your copy, then say so
Write     {updates}
          Headers: ce_specversion 1.0, ce_id, ce_source, ce_type, content-type application/json.
          {reported}   {{"reference", "status"}}; {statuses}
          {erased}      {{"reference"}}: your copy is erased

With kcat (on librdkafka 2.6.1 or newer) and jose, in this folder, private.jwk being your private key and label.jwe a
label without a line end:

    . ./topics
    kcat -F kcat.conf -C -q -e -t "$SHIPMENTS" -f '%k %s\\n'
    jose jwe dec -i label.jwe -k private.jwk -O -
    printf '{{"reference":"…","status":"delivered"}}' | kcat -F kcat.conf -P -t "$UPDATES" -H ce_specversion=1.0 \\
        -H ce_type={reported} -H ce_id="$(cat /proc/sys/kernel/random/uuid)" \\
        -H ce_source=/partners/{partner} -H content-type=application/json

kcat.conf holds your password: keep it to yourself. What you read stays on the topic for 72 hours.
"""
