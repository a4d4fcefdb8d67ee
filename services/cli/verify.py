"""The verb that checks an erasure certificate offline: verify."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import AsJson
from services.erasure.certificate import Certificate
from services.erasure.certifying import fingerprint
from services.erasure.signing import NotSigned, PublicKey, key_set
from services.erasure.verification import Verified, committed_to, in_order, verify

REASONS = {
    "form": "it is not a compact JWS in canonical base64url: something of it was changed or lost",
    "header": "its header is not that of a certificate",
    "type": "it is signed, but as something else than a certificate",
    "signature": "the signature does not fit: something of it was changed",
    "schema": "its contents do not have the form of a certificate",
    "key-unknown": "it was signed with a key that is not in the key set",
    "key-of-another": "it was signed with a key that belongs to somebody else",
    "keys": "the key set is none, or a key in it carries another one's id",
    "owner-missing": "an owner of data that should have answered has not",
    "chain-broken": "the certificates do not supersede one another without a gap",
    "chain-request": "the certificates belong to different requests",
    "chain-round": "a later certificate is of an earlier round",
    "commitment": "it is not committed to this subject under this salt",
    "statement-same-key": "one key signed both the certificate and the keyring's statement",
}
"""What a code means; `statement-…` speaks of the keyring's own statement inside."""

Files = Annotated[
    list[Path], typer.Argument(help="Certificates of one request, in any order.", show_default=False)
]
Keys = Annotated[
    Path | None, typer.Option("--keys", help="JWK set; default: keys.jwks beside the first file.")
]
Salt = Annotated[
    str, typer.Option("--salt", help="The requester's salt, with --subject: check the commitment.")
]
Subject = Annotated[str, typer.Option("--subject", help="The subject id, with --salt.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="verify")(check)


def check(
    files: Files, keys: Keys = None, salt: Salt = "", subject: Subject = "", as_json: AsJson = False
) -> None:
    """Check certificates without network or platform, and say what they claim; 1 if one does not hold."""
    if bool(salt) != bool(subject):
        raise Ended(Exit.USAGE, "--salt and --subject belong together")
    published = keys or files[0].with_name("keys.jwks")
    documents = [_read(path) for path in files]
    try:
        known = key_set(_read(published))
        chain = in_order([verify(_text(document), known) for document in documents])
        if salt and not committed_to(chain[-1].certificate, salt.lower(), subject.lower()):
            raise NotSigned("commitment")
    except NotSigned as error:
        _refuse(error.code, as_json)
    output.answer(_data(chain), as_json, "\n".join(_words(chain, known, committed=bool(salt))))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Ended(Exit.UNAVAILABLE, f"cannot read {path}") from None


def _text(document: bytes) -> str:
    """Return a certificate's text; a newline at the end is the editor's, not a change."""
    try:
        return document.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        raise NotSigned("form") from None


def _refuse(code: str, as_json: bool) -> None:
    output.answer({"valid": False, "reason": code}, as_json, f"NOT VALID: {_reason(code)} ({code})")
    raise typer.Exit(Exit.NO)


def _reason(code: str) -> str:
    plain = code.removeprefix("statement-")
    if code.startswith("statement-differs-"):
        return "it contradicts the keyring's own statement inside it"
    said = REASONS.get(code) or REASONS.get(plain, "it does not hold")
    return said if code in REASONS else f"the keyring's statement inside: {said}"


def _data(chain: list[Verified]) -> dict[str, Any]:
    return {
        "valid": True,
        "certificate": json.loads(chain[-1].certificate.model_dump_json()),
        "sha256": fingerprint(chain[-1].signed),
        "chain": [fingerprint(each.signed) for each in chain],
    }


def _words(chain: list[Verified], keys: dict[str, PublicKey], *, committed: bool) -> Iterator[str]:
    """Say in words what is certified, on whose word."""
    verified = chain[-1]
    certificate = verified.certificate
    yield f"VALID: certificate of request {certificate.request}, round {certificate.round}"
    yield f"  issued {certificate.issued_at}, policy version {certificate.policy_version}"
    if len(chain) > 1:
        yield f"  supersedes {len(chain) - 1} earlier ones, all checked"
    elif certificate.supersedes:
        yield f"  supersedes the certificate with SHA-256 {certificate.supersedes} (not given)"
    if committed:
        yield "  committed to this subject under this salt"
    yield ""
    yield from _erased(verified)
    yield from _kept(certificate)
    yield from _partners(certificate)
    yield "Not covered:"
    yield from (f"  - {exclusion.says}" for exclusion in certificate.does_not_cover)


def _erased(verified: Verified) -> Iterator[str]:
    certificate, times = verified.certificate, verified.certificate.times
    keyring = certificate.keyring
    yield "Erased, on the word of the keyring (its own signature, checked):"
    yield f"  {_count(keyring.destroyed, 'key')} destroyed in all, the last at {times.destroyed_at}"
    yield f"  unreadable for every worker from {times.unreadable_at}"
    for pending in keyring.keks_pending:
        yield f"  copies stolen before can be opened until KEK {pending.category}/{pending.version} is destroyed"
    yield f"  unrecoverable from backups: {times.unrecoverable_from_backups_at}"
    yield "Erased, on the word of each owner of data:"
    for owner in certificate.owners:
        done = f"{_count(owner.erased, 'row')} deleted, {owner.anonymised} anonymised, {owner.retained} kept"
        earlier = owner.erased_before + owner.anonymised_before
        yield f"  {owner.owner}: {done}" + (f", {earlier} in earlier rounds" if earlier else "")
    yield f"  clear columns gone at {times.clear_columns_gone_at}"


def _kept(certificate: Certificate) -> Iterator[str]:
    yield "Kept:" if certificate.retained else "Kept: nothing."
    for part in certificate.retained:
        until = part.until or "the order closes"
        yield f"  {part.category} of {_count(len(part.scopes), 'order')}, ground {part.ground}, until {until}"


def _partners(certificate: Certificate) -> Iterator[str]:
    if not certificate.partners:
        yield "Partners: none was sent anything of this subject."
        return
    yield "On the partners' word, which nobody can check:"
    for part in certificate.partners:
        due = (
            f", {part.outstanding} outstanding, due {part.due_at or 'without a date'}"
            if part.outstanding
            else ""
        )
        yield f"  {part.partner}: {part.acknowledged} of {part.revoked} copies said to be erased{due}"
        yield f"    its topic is clear of them at {part.log_clear_at or 'an unknown time'}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
