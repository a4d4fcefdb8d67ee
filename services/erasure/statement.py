"""The keyring's signed statement, as the certificate embeds it whole."""

from pydantic import ValidationError

from schemas.erasure import KeysDestroyed
from schemas.statements import KeyringStatement
from services.erasure.signing import NotSigned, taken_apart

_SAID_TWICE = ("request", "round", "destroyed", "held", "destroyed_at", "unreadable_at")


def read_statement(signed: str) -> KeyringStatement:
    """Return what a statement says, its signature unverified; raise `NotSigned` where it is not one."""
    token = taken_apart(signed)
    if token.typ != KeyringStatement.typ:
        raise NotSigned("type")
    try:
        return KeyringStatement.model_validate_json(token.payload)
    except ValidationError:
        raise NotSigned("schema") from None


def disagreement(event: KeysDestroyed) -> str:
    """Return a code when a receipt and the statement inside it differ, empty when they agree.

    A certificate built from a receipt that its own statement contradicts would be refused by every verifier.
    """
    try:
        statement = read_statement(event.statement)
    except NotSigned as error:
        return f"statement-{error.code}"
    same = all(getattr(statement, name) == getattr(event, name) for name in _SAID_TWICE)
    return "" if same else "statement-differs"
