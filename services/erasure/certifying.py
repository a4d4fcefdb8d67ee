"""From a round that everybody has answered to its certificate. Pure."""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from schemas.erasure import Held
from services.erasure.certificate import (
    DOES_NOT_COVER,
    POLICY_FORM,
    Certificate,
    Claim,
    Exclusion,
    JoinedRequest,
    KeyringPart,
    OwnerPart,
    PartnerPart,
    Registry,
    RetainedPart,
    Times,
)
from services.erasure.rounds import Answer, Erasure, Keys, Told
from services.erasure.signing import Signer
from services.erasure.statement import read_statement


def contents(erasure: Erasure, at: datetime, registry: str, owners: tuple[str, ...]) -> Certificate:
    """Return what can be certified of a round that everybody has answered."""
    assert erasure.keys is not None and not erasure.owed, "somebody has not answered"
    answers = [answer for answer in erasure.answers if answer.owner in owners]
    statement = read_statement(erasure.keys.statement)
    return Certificate(
        request=erasure.request,
        commitment=erasure.commitment,
        joined=tuple(
            JoinedRequest(request=each.request, commitment=each.commitment) for each in erasure.joined
        ),
        round=erasure.round,
        supersedes=erasure.certificate,
        issued_at=at,
        policy_version=erasure.policy if re.fullmatch(POLICY_FORM, erasure.policy) else "unknown",
        registry=Registry(version=registry, owners=owners),
        keyring=KeyringPart(
            statement=erasure.keys.statement,
            destroyed=erasure.keys.destroyed,
            keks_pending=statement.keks_pending,
        ),
        owners=tuple(_owner(answer) for answer in answers),
        retained=retained(erasure.held),
        partners=tuple(_partner(word) for word in erasure.partners),
        times=_times(erasure, erasure.keys, max((each.done_at for each in answers), default=at)),
        does_not_cover=tuple(Exclusion(about=about, says=says) for about, says in DOES_NOT_COVER.items()),
    )


def signed_by(signer: Signer, certificate: Certificate) -> str:
    """Return the certificate as a compact JWS."""
    return signer.sign(certificate.model_dump_json().encode(), Certificate.typ)


def fingerprint(signed: str) -> str:
    """Return the SHA-256 of a certificate's text, as `sha256sum` prints it."""
    return hashlib.sha256(signed.encode("ascii")).hexdigest()


def retained(held: tuple[Held, ...]) -> tuple[RetainedPart, ...]:
    """Return held pairs grouped by what holds them, in a stable order."""
    groups: dict[tuple[str, str, str], tuple[Held, list[str]]] = {}
    for each in held:
        key = (each.ground.value, each.category.value, each.until.isoformat() if each.until else "")
        groups.setdefault(key, (each, []))[1].append(each.scope)
    return tuple(
        RetainedPart(ground=one.ground, category=one.category, until=one.until, scopes=tuple(sorted(scopes)))
        for _, (one, scopes) in sorted(groups.items(), key=lambda item: item[0])
    )


def _owner(answer: Answer) -> OwnerPart:
    outcome: Literal["erased", "retained", "nothing-held"] = "erased" if answer.cleaned else "nothing-held"
    if answer.retained:
        outcome = "retained"
    counted = answer.model_dump(include=set(OwnerPart.model_fields) - {"outcome"})
    return OwnerPart(outcome=outcome, **counted)


def _partner(word: Told) -> PartnerPart:
    outstanding = max(0, word.revoked - word.acknowledged)
    return PartnerPart(
        partner=word.partner,
        told_by=word.owner,
        revoked=word.revoked,
        acknowledged=word.acknowledged,
        outstanding=outstanding,
        due_at=word.due_at if outstanding else None,
        log_clear_at=word.log_clear_at,
    )


def _times(erasure: Erasure, keys: Keys, rows_gone_at: datetime) -> Times:
    return Times(
        verified_at=erasure.verified_at,
        destroyed_at=keys.destroyed_at,
        unreadable_at=keys.unreadable_at,
        clear_columns_gone_at=rows_gone_at,
        partner_log_clear_at=_log_clear_at(erasure.partners),
        # Until the KEKs of that time are destroyed a backup can be unwrapped: when, the operator decides.
        unrecoverable_from_backups_at="not-claimed",
    )


def _log_clear_at(words: Iterable[Told]) -> Claim | None:
    """Return when the last copy has left partners' topics; no claim where one of them is not known."""
    clears = [word.log_clear_at for word in words if word.revoked]
    known = [moment for moment in clears if moment is not None]
    if not clears:
        return None
    return max(known) if len(known) == len(clears) else "not-claimed"
