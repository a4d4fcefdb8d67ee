"""Who may receive shipments: public keys that are what they say, and the registry's rows for the command line."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from schemas.errors import ContractError
from schemas.strict_json import parse
from services.dispatch.agreements import Agreement
from services.dispatch.events import AgreementEnded, ShipmentRetried
from services.dispatch.label_jwe import ALGORITHM, ENCRYPTION, PublicKey, seal_for
from services.dispatch.store import SQL
from services.kernel.errors import RejectedRecord

ALGORITHMS = [ALGORITHM, ENCRYPTION]
KEY_BYTES = 4_096
_KID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_MEMBERS = {("EC", "P-256"): ("crv", "kty", "x", "y"), ("OKP", "X25519"): ("crv", "kty", "x")}


def check_key(text: str) -> str:
    """Return a partner's public key as a JWK in JSON: its members and its `kid`, and nothing else.

    Without a `kid` of its own a key gets its RFC 7638 thumbprint. Raises `RejectedRecord`: key-invalid (no JWK,
    a point that is not on its curve or of small order), key-private (the half that only the partner may have),
    key-unsupported (anything but P-256 and X25519, or a key meant for signing).
    """
    jwk = _read(text)
    if jwk.keys() & {"d", "p", "q", "k", "oth"}:
        raise RejectedRecord("key-private")
    members = _MEMBERS.get((str(jwk.get("kty")), str(jwk.get("crv"))))
    if members is None or jwk.get("use", "enc") != "enc" or jwk.get("alg", ALGORITHM) != ALGORITHM:
        raise RejectedRecord("key-unsupported")
    bare = {name: jwk.get(name) for name in members}
    imported = _imported(bare)
    key = _public(imported)
    try:
        seal_for(key, "trial", b"{}")  # Finds what the import does not: points of small order give no secret.
    except (ValueError, JoseError):
        raise RejectedRecord("key-invalid") from None
    return json.dumps({**bare, "kid": _kid(jwk.get("kid")) or imported.thumbprint()}, sort_keys=True)


@lru_cache(maxsize=1_024)
def partner_key(jwk: str) -> tuple[PublicKey, str]:
    """Return the key and the `kid` of a JWK that `check_key` has returned."""
    members: dict[str, str] = json.loads(jwk)
    kid = members.pop("kid")
    return _public(_imported(members)), kid


def _public(key: ECKey | OKPKey) -> PublicKey:
    public = key.public_key
    assert isinstance(public, PublicKey)
    return public


def _imported(bare: dict[str, Any]) -> ECKey | OKPKey:
    try:
        return ECKey.import_key(bare) if bare["kty"] == "EC" else OKPKey.import_key(bare)
    except (ValueError, TypeError, JoseError):
        raise RejectedRecord("key-invalid") from None


def _read(text: str) -> dict[str, Any]:
    try:
        jwk = parse(text.encode(), KEY_BYTES)
    except (ContractError, UnicodeEncodeError):
        raise RejectedRecord("key-invalid") from None
    if not isinstance(jwk, dict):
        raise RejectedRecord("key-invalid")
    return jwk


def _kid(given: object) -> str:
    """A `kid` travels in a header that many programs print: only a plain short name is kept."""
    return given if isinstance(given, str) and _KID.fullmatch(given) else ""


class Partners:
    """The registry as people work on it: over a connection whose search_path is the worker's schema."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def add(self, partner: str, key: str, agreement: Agreement) -> None:
        """Add a partner or renew its key, add the agreement; what is held for it looks again at once."""
        async with self._connection.transaction():
            await self._connection.execute(SQL.add_partner, partner, key)
            await self._connection.execute(
                SQL.add_agreement, partner, agreement.sha256, agreement.scope, agreement.fields,
                agreement.valid_from, agreement.valid_to,
            )  # fmt: skip
            await self._connection.execute(SQL.hurry, partner, [ShipmentRetried.type])

    async def revoke(self, partner: str) -> int:
        """End every agreement of a partner now; return how many. Its copies are revoked by dispatch, at once."""
        async with self._connection.transaction():
            ended = await self._connection.fetch(SQL.end_agreements, partner)
            await self._connection.execute(SQL.hurry, partner, [AgreementEnded.type])
        return len(ended)

    async def listed(self) -> list[dict[str, Any]]:
        """Return every partner with its agreements, and in numbers what is held, offered, revoked, acknowledged."""
        partners = [dict(row) for row in await self._connection.fetch(SQL.list_partners)]
        agreements = [dict(row) for row in await self._connection.fetch(SQL.list_agreements)]
        held = [dict(row) for row in await self._connection.fetch(SQL.held)]
        for partner in partners:
            partner["agreements"] = _of(partner["partner_id"], agreements)
        return [*partners, *_unknown(partners, held)]


def _of(partner: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "partner_id"} for row in rows
            if row["partner_id"] == partner]  # fmt: skip


def _unknown(partners: Sequence[dict[str, Any]], held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shipments can be held for a carrier that nobody has added: the shop named it."""
    known = {partner["partner_id"] for partner in partners}
    return [
        {"partner_id": row["partner"], "held": row["shipments"], "code": row["code"], "agreements": []}
        for row in held
        if row["partner"] not in known
    ]
