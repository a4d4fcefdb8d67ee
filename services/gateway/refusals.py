"""Why the gateway refuses: one code each, with the HTTP status and what a sender can do about it.

A refusal names a code and a declared field path. It never repeats anything the sender wrote: an answer ends up in
somebody's log.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.kernel.errors import LetheError

RETRY_AFTER_SECONDS = 2
"""What a sender is asked to wait when something behind the gateway is away."""


class Code(StrEnum):
    """Refusals of the gateway's own; contract codes of `schemas.strict_json` come on top."""

    BODY_TOO_LARGE = "body-too-large"
    BODY_SLOW = "body-slow"
    CONTENT_TYPE = "content-type"
    CONTENT_ENCODING = "content-encoding"
    EVENT_TOO_LARGE = "event-too-large"
    TOO_MANY_EVENTS = "too-many-events"
    NO_EVENTS = "no-events"
    NOT_AN_OBJECT = "not-an-object"
    TYPE_UNKNOWN = "type-unknown"
    VERSION_UNKNOWN = "version-unknown"
    TOKEN_WRONG = "token-wrong"  # noqa: S105 - a code, not a secret
    SUBJECT_FOREIGN = "subject-foreign"
    SUBJECT_ERASED = "subject-erased"
    SALT_MISSING = "salt-missing"
    REQUEST_DIFFERS = "request-differs"
    REQUEST_UNKNOWN = "request-unknown"
    CERTIFICATE_PENDING = "certificate-pending"
    SITE_UNKNOWN = "site-unknown"
    ORIGIN_FOREIGN = "origin-foreign"
    CHECKOUT_EVENT = "checkout-event"
    CONTACT_EVENT = "contact-event"
    ORDER_EVENT = "order-event"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    KEYRING_UNAVAILABLE = "keyring-unavailable"
    TAG_KEY_MISSING = "tag-key-missing"
    BROKER_UNAVAILABLE = "broker-unavailable"
    STORE_UNAVAILABLE = "store-unavailable"
    INTERNAL = "internal"


STATUS: dict[str, int] = {
    Code.TOKEN_WRONG: 401,
    Code.SUBJECT_FOREIGN: 403,
    Code.ORIGIN_FOREIGN: 403,
    Code.NOT_FOUND: 404,
    Code.REQUEST_UNKNOWN: 404,
    Code.CERTIFICATE_PENDING: 404,
    Code.SITE_UNKNOWN: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.BODY_SLOW: 408,
    Code.REQUEST_DIFFERS: 409,
    Code.SUBJECT_ERASED: 410,
    Code.BODY_TOO_LARGE: 413,
    Code.EVENT_TOO_LARGE: 413,
    Code.TOO_MANY_EVENTS: 413,
    Code.CONTENT_TYPE: 415,
    Code.CONTENT_ENCODING: 415,
    Code.INTERNAL: 500,
    Code.KEYRING_UNAVAILABLE: 503,
    Code.TAG_KEY_MISSING: 503,
    Code.BROKER_UNAVAILABLE: 503,
    Code.STORE_UNAVAILABLE: 503,
}
"""Statuses by code; everything else is a contract that was not kept: 422, or 400 where the body is no JSON at all."""

MEANING: dict[Code, str] = {
    Code.BODY_TOO_LARGE: "The body is larger than 8 MiB: send fewer events at once.",
    Code.BODY_SLOW: "The body did not arrive in time.",
    Code.CONTENT_TYPE: "Send application/json in UTF-8; structured CloudEvents are not taken.",
    Code.CONTENT_ENCODING: "Send the body uncompressed.",
    Code.EVENT_TOO_LARGE: "One event is larger than 256 KiB.",
    Code.TOO_MANY_EVENTS: "The array holds more than 1,000 events: send fewer at once.",
    Code.NO_EVENTS: "The array is empty.",
    Code.NOT_AN_OBJECT: "An event is a JSON object.",
    Code.TYPE_UNKNOWN: "No such event type is taken here.",
    Code.VERSION_UNKNOWN: "The event type is known, this version of it is not.",
    Code.TOKEN_WRONG: "The bearer token is missing, wrong or revoked; the answer does not say which.",
    Code.SUBJECT_FOREIGN: "The subject id is not this storefront's to use.",
    Code.SUBJECT_ERASED: "The person was forgotten: the id is never used again, whoever returns gets a new one.",
    Code.SALT_MISSING: "A request with an id of your own brings its own salt, so that a repeat can be told.",
    Code.REQUEST_DIFFERS: "The request id was used before, for something else.",
    Code.REQUEST_UNKNOWN: "This storefront made no such request.",
    Code.CERTIFICATE_PENDING: "The request is known, its certificate is not issued yet.",
    Code.SITE_UNKNOWN: "No shop of this id has said what may be counted of its pages.",
    Code.ORIGIN_FOREIGN: "The shop has no pages at this origin, or the request does not say its origin.",
    Code.CHECKOUT_EVENT: "What belongs to a checkout is not taken as a click; nothing of it was kept.",
    Code.CONTACT_EVENT: "What holds somebody's contact or account is not taken as a click; nothing of it was kept.",
    Code.ORDER_EVENT: "What belongs to an order is not taken as a click; nothing of it was kept.",
    Code.NOT_FOUND: "No such resource.",
    Code.METHOD_NOT_ALLOWED: "The resource has no such method.",
    Code.KEYRING_UNAVAILABLE: "Keys cannot be had now; nothing of the body was taken. Repeat it, ids unchanged.",
    Code.TAG_KEY_MISSING: "Visitors cannot be told apart now, so nothing is counted; nothing of the body was kept.",
    Code.BROKER_UNAVAILABLE: "Kafka did not confirm in time. Repeat the body, ids unchanged: repeats do no harm.",
    Code.STORE_UNAVAILABLE: "The gateway's database is away. Repeat the call, ids unchanged.",
    Code.INTERNAL: "A fault of the gateway; it is counted, and nothing of the body was logged.",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one event was refused."""

    code: str
    field: str = ""
    """Path of declared field names and array positions, e.g. `data.basket.lines.3.sku`."""

    @property
    def status(self) -> int:
        """The HTTP status that says the same."""
        return STATUS.get(self.code, 422)

    def body(self) -> dict[str, str]:
        """Return what the sender is told."""
        return {"code": self.code, "field": self.field} if self.field else {"code": self.code}


class Refusal(LetheError):
    """The whole call is refused."""

    def __init__(self, code: str, field: str = "", status: int = 0) -> None:
        super().__init__(code, field=field)
        self.reason = Reason(code, field)
        self.status = status or self.reason.status
