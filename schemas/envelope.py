"""CloudEvents 1.0 attributes as Kafka headers, binary mode (CloudEvents Kafka protocol binding §3.2).

Headers are read by everyone who may read the topic and shown by every tool, so they hold ids, names and hours
only: what has another form is refused, not passed on.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from schemas.errors import ContractError

CONTENT_TYPE = "application/json"
MOST_CHARACTERS = 256
"""No attribute is longer."""
_PREFIX = "ce_"
_REQUIRED = ("specversion", "id", "source", "type")
_CORE = frozenset({*_REQUIRED, "time", "subject", "policyversion", "datacontenttype"})
_UNIQUE = frozenset({"id", "subject"})
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class EnvelopeError(ContractError):
    """The headers are not those of a CloudEvents 1.0 record in binary mode; `code` says why, without a value."""


class Envelope(NamedTuple):
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
    """W3C Trace Context."""
    content_type: str = CONTENT_TYPE
    extensions: Mapping[str, str] = MappingProxyType({})

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers of this envelope."""
        if self.extensions:
            _check_extensions(self.extensions)
        headers = [
            _header("specversion", "1.0"),
            ("ce_id", self.id.encode()),
            _header("type", self.type),
            _header("source", self.source),
        ]
        if self.time:
            headers.append(_header("time", _said(self.time)))
        if self.subject is not None:
            headers.append(("ce_subject", self.subject.encode()))
        if self.policy is not None:
            headers.append(_header("policyversion", self.policy))
        headers += [_header(name, text) for name, text in self.extensions.items()]
        headers.append(("content-type", self.content_type.encode()))
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        return headers


@lru_cache(maxsize=1_000)
def _header(name: str, text: str) -> tuple[str, bytes]:
    """Return a header that many records share."""
    return _PREFIX + name, text.encode()


@lru_cache(maxsize=1_000)
def to_the_hour(moment: datetime) -> datetime:
    """Return the start of the moment's hour, UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def read_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Return the envelope of a record, or raise `EnvelopeError` with one of these codes:

    `structured-mode`, `content-type`, `specversion`, and `attribute-` followed by `missing`, `twice`, `encoding`
    (not UTF-8), `name`, `form` (empty, too long, control characters) or `time` (not RFC 3339).
    """
    content_type, traceparent, attributes = _decoded(headers)
    if content_type != CONTENT_TYPE:
        _check_content_type(content_type)
    if any(name not in attributes for name in _REQUIRED):
        raise EnvelopeError("attribute-missing")
    if attributes.pop("specversion") != "1.0":
        raise EnvelopeError("specversion")
    take = attributes.pop
    return Envelope(
        take("id"),
        take("type"),
        take("source"),
        _time(take("time", None)),
        take("subject", None),
        take("policyversion", None),
        traceparent,
        content_type,
        _extensions(attributes),
    )


def _decoded(headers: Iterable[tuple[str, bytes]]) -> tuple[str, str | None, dict[str, str]]:
    """Return content type, trace and attributes as text; headers of other conventions are not ours to judge."""
    content_type, traceparent = "", None
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(_PREFIX):
            name = name[len(_PREFIX) :]
            if name in attributes:
                raise EnvelopeError("attribute-twice")
            attributes[name] = _text(value) if name in _UNIQUE else _repeated_text(value)
        elif name == "content-type":
            if content_type:
                raise EnvelopeError("attribute-twice")
            content_type = _repeated_text(value)
        elif name == "traceparent":
            # Who cannot parse it starts a new trace (W3C Trace Context §3.2): a trace decides nothing.
            traceparent = str(value, "ascii", "replace") if _TRACEPARENT.fullmatch(value or b"") else None
    return content_type, traceparent, attributes


def _text(value: bytes | None) -> str:
    try:
        text = value.decode("utf-8") if value is not None else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise EnvelopeError("attribute-encoding")
    if not 0 < len(text) <= MOST_CHARACTERS or not text.isprintable():
        raise EnvelopeError("attribute-form")
    return text


_repeated_text = lru_cache(maxsize=1_000)(_text)
"""The same for the attributes that thousands of records share; a refusal is not remembered."""


def _check_content_type(content_type: str) -> None:
    if content_type.startswith("application/cloudevents"):
        raise EnvelopeError("structured-mode")
    if content_type.partition(";")[0].strip() != CONTENT_TYPE:
        raise EnvelopeError("content-type")


def _extensions(attributes: dict[str, str]) -> dict[str, str]:
    if attributes:
        _check_extensions(attributes)
    return attributes


def _check_extensions(extensions: Mapping[str, str]) -> None:
    """Refuse a name that CloudEvents does not allow, or that would stand in for an attribute of its own."""
    for name in extensions:
        if name in _CORE or not _EXTENSION_NAME.fullmatch(name):
            raise EnvelopeError("attribute-name")


@lru_cache(maxsize=1_000)
def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=1_000)
def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = None
    if _TIME.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text)
            moment.astimezone(UTC)  # At both ends of the calendar there are moments that UTC has no date for.
        except (ValueError, OverflowError):
            moment = None
    if moment is None:
        raise EnvelopeError("attribute-time")
    return moment
