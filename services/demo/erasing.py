"""How one erasure is asked for, followed and proved; what the demo's steps about erasures share."""

from datetime import datetime
from typing import Any

from schemas.erasure import CertificateIssued, KeysDestroyed
from schemas.holds import Ground
from schemas.topics import CERTIFICATES, RECEIPTS
from services.demo.scene import Erasing, Scene
from services.demo.waiting import until
from services.erasure.certificate import Certificate, RetainedPart
from services.erasure.verification import read_certificate

STATE_SECONDS = 60.0
DONE, NO, INCOMPLETE = 0, 1, 5
"""Exit codes of `lethe`."""
PUBLIC_KEYS = "keys.jwks"
CERTIFICATE = "certificate.jws"


def ask(scene: Scene, person: str) -> Erasing:
    """Have the shop ask, as its customer wishes; return the request."""
    erasure = scene.shop.erase(person)
    return Erasing(scene.shop.subject(person), erasure.request, erasure.salt)


def known(erasing: Erasing | None) -> Erasing:
    """Return an erasure that an earlier step has asked for."""
    assert erasing is not None, "an earlier step did not ask"
    return erasing


def status_of(scene: Scene, erasing: Erasing) -> dict[str, Any]:
    """Return what the gateway tells the shop about a request; nothing while it cannot be had."""
    return scene.shop.lethe.erasure_status(erasing.request) or {}


def await_certificate(scene: Scene, erasing: Erasing, rounds: int = 1) -> bool:
    """Wait for the certificate of this round or a later one and keep it; return whether it came."""

    def come() -> bool:
        state = status_of(scene, erasing)
        if state.get("state") != "certified" or int(state.get("round", 0)) < rounds:
            return False
        certificate = scene.shop.lethe.certificate(erasing.request)
        if certificate is None or read_certificate(certificate).round < rounds:
            return False
        erasing.certificates.append(certificate)
        return True

    return until(come, STATE_SECONDS)


def issued(scene: Scene, erasing: Erasing) -> list[str]:
    """Return every certificate of the request, in order; a partner's word makes one more of the same round."""
    told = (each for each in scene.room.read((CERTIFICATES,)) if each.key == erasing.subject.encode())
    events = [
        CertificateIssued.model_validate_json(each.value or b"")
        for each in told
        if dict(each.headers)["ce_type"] == CertificateIssued.type.encode()
    ]
    return [event.certificate for event in events if event.request == erasing.request]


def newest(erasing: Erasing) -> Certificate:
    """Return what the newest certificate says."""
    return read_certificate(erasing.certificates[-1])


def retained(erasing: Erasing, ground: Ground | None = None) -> list[RetainedPart]:
    """Return what the newest certificate lists as kept, by this ground or by any."""
    return [part for part in newest(erasing).retained if ground in (None, part.ground)]


def times_of(certificate: Certificate) -> dict[str, float]:
    """Return what a certificate says about how long its round took."""
    times = certificate.times
    return {
        "verified_to_destroyed_seconds": (times.destroyed_at - times.verified_at).total_seconds(),
        "verified_to_unreadable_seconds": (times.unreadable_at - times.verified_at).total_seconds(),
        "verified_to_certified_seconds": (certificate.issued_at - times.verified_at).total_seconds(),
    }


def signed_moments(scene: Scene, erasing: Erasing) -> tuple[datetime, datetime]:
    """Return destroyed_at and unreadable_at as the keyring told them, before anybody certified them."""
    told = (each for each in scene.room.read((RECEIPTS,)) if each.key == erasing.subject.encode())
    destroyed = next(each for each in told if dict(each.headers)["ce_type"] == KeysDestroyed.type.encode())
    event = KeysDestroyed.model_validate_json(destroyed.value or b"")
    return event.destroyed_at, event.unreadable_at
