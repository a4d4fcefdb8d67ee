"""Why a reading is refused: one code each, with the HTTP status. A refusal repeats nothing of what was asked."""

from enum import StrEnum

from services.kernel.errors import LetheError

RETRY_AFTER_SECONDS = {429: 60, 503: 2}


class Code(StrEnum):
    """What was wrong."""

    QUERY_WRONG = "query-wrong"
    PARAMETER_UNKNOWN = "parameter-unknown"
    PARAMETER_REPEATED = "parameter-repeated"
    ITEM_MISSING = "item-missing"
    ITEM_WRONG = "item-wrong"
    PERSONAL_WRONG = "personal-wrong"
    LIMIT_WRONG = "limit-wrong"
    PAGE_WRONG = "page-wrong"
    WINDOW_WRONG = "window-wrong"
    KIND_UNKNOWN = "kind-unknown"
    TOKEN_WRONG = "token-wrong"  # noqa: S105 - a code, not a secret
    FORM_WRONG = "form-wrong"
    FROM_ELSEWHERE = "from-elsewhere"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    STORE_UNAVAILABLE = "store-unavailable"
    INTERNAL = "internal"


STATUS: dict[str, int] = {
    Code.FORM_WRONG: 400,
    Code.TOKEN_WRONG: 401,
    Code.FROM_ELSEWHERE: 403,
    Code.NOT_FOUND: 404,
    Code.KIND_UNKNOWN: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.TOO_MANY_ATTEMPTS: 429,
    Code.INTERNAL: 500,
    Code.STORE_UNAVAILABLE: 503,
}
"""Statuses by code; everything else is a question that cannot be answered as it stands: 422."""

MEANING: dict[Code, str] = {
    Code.QUERY_WRONG: "The query is longer than 1,024 bytes, has too many parameters, or is not UTF-8.",
    Code.PARAMETER_UNKNOWN: "The resource has no such parameter: a misspelled `personal` must not be overlooked.",
    Code.PARAMETER_REPEATED: "A parameter is there twice.",
    Code.ITEM_MISSING: "Say which item the recommendations are for.",
    Code.ITEM_WRONG: "The item has no form that an item can have.",
    Code.PERSONAL_WRONG: "`personal` is `yes` or `no`.",
    Code.LIMIT_WRONG: "`limit` is a whole number from 1 to 100 for lists, to 1,000 for statistics.",
    Code.PAGE_WRONG: "`page` is a whole number from 1 to 1,000.",
    Code.WINDOW_WRONG: "`window` is a UTC day (2026-11-23) or an hour of it (2026-11-23T10).",
    Code.KIND_UNKNOWN: "No such kind of statistic.",
    Code.TOKEN_WRONG: "The token is missing, wrong or revoked; the answer does not say which.",
    Code.FORM_WRONG: "That is not what the form sends.",
    Code.FROM_ELSEWHERE: "The form was not sent from this page.",
    Code.NOT_FOUND: "No such page.",
    Code.METHOD_NOT_ALLOWED: "The page has no such method.",
    Code.TOO_MANY_ATTEMPTS: "Too many attempts to sign in. Wait for a minute.",
    Code.STORE_UNAVAILABLE: "The database is away. Come again in a moment.",
    Code.INTERNAL: "A fault of this service; it is counted.",
}


class Refusal(LetheError):
    """The call is refused."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.reason = code

    @property
    def status(self) -> int:
        """The HTTP status that says the same."""
        return STATUS.get(self.reason, 422)
