"""The proof in a file, checked by somebody who has nothing else, and what is left."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from schemas.holds import Ground
from services.demo.erasing import CERTIFICATE, DONE, NO, PUBLIC_KEYS, known, newest
from services.demo.findings import Check
from services.demo.looking import scan
from services.demo.scene import Scene
from services.erasure.certificate import Certificate, PartnerPart
from services.erasure.signing import decoded, encoded


def the_certificate_is_verified(scene: Scene) -> Iterator[Check]:
    """Verify the certificate offline, for this customer, and then with one byte changed."""
    erasing, path, keys = known(scene.first), scene.out / CERTIFICATE, scene.out / PUBLIC_KEYS
    proof = ("--salt", erasing.salt, "--subject", erasing.subject)
    good = scene.room.lethe("verify", str(path), "--keys", str(keys), *proof)
    says = "it holds, offline, and is committed to this customer under the salt that the shop kept"
    yield Check("certificate_verified", good.code == DONE, says)
    changed = scene.room.state / "tmp" / "changed.jws"
    changed.write_text(one_byte_changed(path.read_text("ascii").strip()), "ascii")
    bad = scene.room.lethe("verify", str(changed), "--keys", str(keys))
    says = f"one byte of it changed: not valid ({bad.answer.get('reason')})"
    yield Check("changed_certificate_refused", bad.code == NO, says)


def the_text_is_nowhere(scene: Scene) -> Iterator[Check]:
    """Search everything again, after all of it."""
    yield from scan(scene, "text_nowhere_after_all", "after everything above")


def what_is_left(scene: Scene) -> Iterator[Check]:
    """Say what is kept and what rests on somebody's word, as the certificates do."""
    certificates = [newest(known(each)) for each in (scene.first, scene.second)]
    kept = [part for certificate in certificates for part in certificate.retained]
    for part in kept:
        scene.telling.line(
            f"kept: {part.category} of {len(part.scopes)} orders, {part.ground}, until {_day(part.until)}"
        )
    for words in certificates:
        _say_words(scene, words)
    for exclusion in certificates[0].does_not_cover:
        scene.telling.line(f"not covered: {exclusion.says}")
    by_law = bool(kept) and all(part.ground is Ground.STATUTORY and part.until for part in kept)
    yield Check("only_the_law_keeps", by_law, "nothing is kept but invoices: by law, and with a date")
    pending = _pending(scene.room.lethe("keys", "status").answer.get("keks", []))
    yield Check(
        "no_old_kek_is_left", not pending, "no KEK version that ever wrapped an erased key exists any more"
    )


def one_byte_changed(signed: str) -> str:
    """Return a certificate with one digit of what it says changed, in proper base64url."""
    head, body, tail = signed.split(".")
    payload = bytearray(decoded(body))
    at = payload.index(b'"destroyed":') + len(b'"destroyed":')
    payload[at] = ord("2") if payload[at] == ord("1") else ord("1")
    return f"{head}.{encoded(bytes(payload))}.{tail}"


def _say_words(scene: Scene, certificate: Certificate) -> None:
    for partner in certificate.partners:
        scene.telling.line(f"{partner.partner}'s word: {_word(partner)}")
    figures = scene.findings.figures
    for name in ("outstanding", "acknowledged"):
        said = sum(getattr(partner, name) for partner in certificate.partners)
        figures[f"partner_copies_{name}"] = figures.get(f"partner_copies_{name}", 0) + said


def _word(partner: PartnerPart) -> str:
    due = f", {partner.outstanding} awaited until {_day(partner.due_at)}" if partner.outstanding else ""
    clear = f"its topic is clear of them on {_day(partner.log_clear_at)}"
    return f"{partner.acknowledged} of {partner.revoked} copies erased{due}; {clear}"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "an unknown day"


def _pending(keks: Iterable[dict[str, Any]]) -> int:
    return sum(kek["state"] in ("retiring", "destroying") for kek in keks)
