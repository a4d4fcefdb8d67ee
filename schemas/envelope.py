"""CloudEvents 1.0 attributes as Kafka headers, binary mode (CloudEvents Kafka protocol binding §3.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

CONTENT_TYPE = "application/json"
_PREFIX = "ce_"
_REQUIRED = ("specversion", "id", "source", "type")


class EnvelopeError(ValueError):
    """The headers are not those of a CloudEvents 1.0 record in binary mode; `code` says why, without a value."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is said about an event outside its value; readable by everyone who may read the topic."""

    id: str
    type: str
    source: str
    time: datetime | None = None
    """Truncated to the hour on every topic; the exact time of a person's act travels sealed."""
    subject: str | None = None
    policy: str | None = None
    """The version of the privacy policy in force (V1)."""
    traceparent: str | None = None
    content_type: str = CONTENT_TYPE
    extensions: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers of this envelope."""
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ") if self.time else None,
            "subject": self.subject,
            "policyversion": self.policy,
            **self.extensions,
        }
        headers = [(_PREFIX + name, value.encode()) for name, value in attributes.items() if value is not None]
        headers.append(("content-type", self.content_type.encode()))
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        return headers


def to_the_hour(moment: datetime) -> datetime:
    """Return the start of the moment's hour, UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def read_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Return the envelope of a record; raise `EnvelopeError` for structured mode and for missing attributes."""
    found = _decoded(headers)
    content_type = found.pop("content-type", "")
    if content_type.startswith("application/cloudevents"):
        raise EnvelopeError("structured-mode")
    if content_type.partition(";")[0].strip() != CONTENT_TYPE:
        raise EnvelopeError("content-type")
    attributes = {name.removeprefix(_PREFIX): value for name, value in found.items() if name.startswith(_PREFIX)}
    if any(not attributes.get(name) for name in _REQUIRED):
        raise EnvelopeError("attribute-missing")
    if attributes.pop("specversion") != "1.0":
        raise EnvelopeError("specversion")
    return Envelope(
        id=attributes.pop("id"),
        type=attributes.pop("type"),
        source=attributes.pop("source"),
        time=_time(attributes.pop("time", None)),
        subject=attributes.pop("subject", None),
        policy=attributes.pop("policyversion", None),
        traceparent=found.get("traceparent"),
        content_type=content_type,
        extensions=attributes,
    )


def _decoded(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        if name in found and (name.startswith(_PREFIX) or name == "content-type"):
            raise EnvelopeError("attribute-twice")
        try:
            found[name] = value.decode("utf-8")
        except (UnicodeDecodeError, AttributeError):
            raise EnvelopeError("attribute-encoding") from None
    return found


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EnvelopeError("attribute-time") from None
    if moment.tzinfo is None:
        raise EnvelopeError("attribute-time")
    return moment
