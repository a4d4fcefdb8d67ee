"""Checks a certificate offline: signature, form, and that the keyring's own statement says the same."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from schemas.statements import KeyringStatement, commitment_of
from services.erasure.certificate import Certificate
from services.erasure.certifying import fingerprint, retained
from services.erasure.signing import NotSigned, PublicKey, Token, taken_apart

M = TypeVar("M", bound=BaseModel)
_CERTIFIER, _KEYRING = "erasure", "keyring"


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate whose every check has passed."""

    certificate: Certificate
    statement: KeyringStatement
    signed: str


def read_certificate(signed: str) -> Certificate:
    """Return what a certificate says, nothing of it verified; raise `NotSigned` where it is none."""
    return _payload(_of_type(signed, Certificate.typ), Certificate)


def verify(signed: str, keys: Mapping[str, PublicKey]) -> Verified:
    """Return the certificate if all of it holds; raise `NotSigned` with the first reason why not."""
    certificate, certifier = _verified(signed, Certificate, Certificate.typ, keys, _CERTIFIER)
    try:
        statement, keyring = _verified(
            certificate.keyring.statement, KeyringStatement, KeyringStatement.typ, keys, _KEYRING
        )
    except NotSigned as error:
        raise NotSigned(f"statement-{error.code}") from None
    if certifier == keyring:
        # One key for both would let the erasure worker speak for the keyring.
        raise NotSigned("statement-same-key")
    if field := _difference(certificate, statement):
        raise NotSigned(f"statement-differs-{field}")
    if sorted(part.owner for part in certificate.owners) != sorted(certificate.registry.owners):
        raise NotSigned("owner-missing")
    return Verified(certificate, statement, signed)


def check_chain(verified: Sequence[Verified]) -> None:
    """Raise `NotSigned` unless each certificate supersedes the one before, of the same request."""
    for before, after in itertools.pairwise(verified):
        if after.certificate.supersedes != fingerprint(before.signed):
            raise NotSigned("chain-broken")
        if after.certificate.request != before.certificate.request:
            raise NotSigned("chain-request")
        if after.certificate.round < before.certificate.round:
            raise NotSigned("chain-round")


def in_order(verified: Sequence[Verified]) -> list[Verified]:
    """Return certificates of one request, each after the one that it supersedes; raise `NotSigned` for a gap."""
    by_predecessor = {each.certificate.supersedes: each for each in verified}
    names = {fingerprint(each.signed) for each in verified}
    first = [each for each in verified if each.certificate.supersedes not in names]
    if len(first) != 1 or len(by_predecessor) != len(verified):
        raise NotSigned("chain-broken")
    ordered = first
    while (following := by_predecessor.get(fingerprint(ordered[-1].signed))) is not None:
        ordered.append(following)
    check_chain(ordered)
    if len(ordered) != len(verified):
        raise NotSigned("chain-broken")
    return ordered


def committed_to(certificate: Certificate, salt: str, subject: str) -> bool:
    """Say whether the certificate, or a request that joined it, is committed to this subject under this salt."""
    known = {certificate.commitment, *(joined.commitment for joined in certificate.joined)}
    return commitment_of(salt, subject) in known


def _verified(
    signed: str, model: type[M], typ: str, keys: Mapping[str, PublicKey], signer: str
) -> tuple[M, str]:
    token = _of_type(signed, typ)
    key = keys.get(token.kid)
    if key is None:
        raise NotSigned("key-unknown")
    if key.signer not in ("", signer):
        raise NotSigned("key-of-another")
    token.verify(key.key)
    return _payload(token, model), token.kid


def _of_type(signed: str, typ: str) -> Token:
    token = taken_apart(signed)
    if token.typ != typ:
        raise NotSigned("type")
    return token


def _payload(token: Token, model: type[M]) -> M:
    try:
        return model.model_validate_json(token.payload)
    except ValidationError:
        raise NotSigned("schema") from None


def _difference(certificate: Certificate, statement: KeyringStatement) -> str:
    """Return the first outer claim that the keyring's statement contradicts."""
    said = {
        "request": (certificate.request, statement.request),
        "round": (certificate.round, statement.round),
        "destroyed": (certificate.keyring.destroyed, statement.destroyed),
        "keks-pending": (certificate.keyring.keks_pending, statement.keks_pending),
        "destroyed-at": (certificate.times.destroyed_at, statement.destroyed_at),
        "unreadable-at": (certificate.times.unreadable_at, statement.unreadable_at),
        "retained": (certificate.retained, retained(statement.held)),
    }
    return next((name for name, (outer, inner) in said.items() if outer != inner), "")
