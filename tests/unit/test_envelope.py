"""An envelope says who, what and when of an event, in headers that everybody may read."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Envelope, EnvelopeError, read_envelope, to_the_hour

CANARY = "Zoë Canary"
WHOLE = Envelope(
    id="5f0c3f5e-0000-8000-8000-000000000000",
    type="lethe.order.placed.v1",
    source="/storefronts/shop",
    time=datetime(2026, 11, 23, 6, tzinfo=UTC),
    subject="0" * 32,
    policy="3",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    extensions={"reason": "erased"},
)
HEADERS = dict(WHOLE.headers())


def refusal(changes: dict[str, bytes | None]) -> str:
    """Return why the whole envelope is refused once these headers are changed or removed."""
    headers = [
        (name, value) for name, value in (HEADERS | changes).items() if value is not None or name in changes
    ]
    with pytest.raises(EnvelopeError) as caught:
        read_envelope([(name, value) for name, value in headers if value is not None])
    assert CANARY not in repr(caught.value) and caught.value.__context__ is None
    return caught.value.code


def test_what_is_written_is_read_back():
    """Headers and envelope say the same."""
    assert read_envelope(WHOLE.headers()) == WHOLE


def test_the_headers_are_those_of_the_binding():
    """CloudEvents Kafka binding §3.2: `ce_` attributes as UTF-8, the data's content type as `content-type`."""
    assert HEADERS["ce_specversion"] == b"1.0" and HEADERS["content-type"] == b"application/json"
    assert HEADERS["ce_time"] == b"2026-11-23T06:00:00Z" and HEADERS["ce_subject"] == b"0" * 32
    assert HEADERS["ce_policyversion"] == b"3" and HEADERS["ce_reason"] == b"erased"
    assert b"None" not in HEADERS.values()


def test_times_are_written_in_utc():
    """A zone tells where a person is."""
    there = datetime(2026, 11, 23, 9, 30, tzinfo=timezone(timedelta(hours=3)))
    assert to_the_hour(there) == datetime(2026, 11, 23, 6, tzinfo=UTC)
    assert dict(Envelope("1", "t", "/s", time=there).headers())["ce_time"] == b"2026-11-23T06:30:00Z"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ce_id": None}, "attribute-missing"),
        ({"ce_type": None}, "attribute-missing"),
        ({"ce_source": None}, "attribute-missing"),
        ({"ce_specversion": None}, "attribute-missing"),
        ({"ce_specversion": b"0.3"}, "specversion"),
        ({"ce_id": b""}, "attribute-form"),
        ({"ce_subject": b""}, "attribute-form"),
        ({"ce_id": b"a\0b"}, "attribute-form"),
        ({"ce_id": b"a\nb"}, "attribute-form"),
        ({"ce_source": b"x" * 257}, "attribute-form"),
        ({"ce_source": b"\xff\xfe"}, "attribute-encoding"),
        ({"ce_time": b"yesterday"}, "attribute-time"),
        ({"ce_time": b"2026-11-23T06:00:00"}, "attribute-time"),
        ({"ce_time": b"2026-11-23"}, "attribute-time"),
        ({"ce_time": b"2026-13-23T06:00:00Z"}, "attribute-time"),
        ({"ce_time": b"20261123T060000Z"}, "attribute-time"),
        ({"ce_Name": CANARY.encode()}, "attribute-name"),
        ({"ce_first_name": CANARY.encode()}, "attribute-name"),
        ({"ce_datacontenttype": b"text/plain"}, "attribute-name"),
        ({"ce_": b"x"}, "attribute-name"),
        ({"content-type": None}, "content-type"),
        ({"content-type": b"text/plain"}, "content-type"),
        ({"content-type": b"application/cloudevents+json"}, "structured-mode"),
        ({"content-type": b"application/cloudevents-batch+json"}, "structured-mode"),
    ],
)
def test_headers_that_are_no_envelope_are_refused_with_a_code(changes, code):
    """Typed, and never with the header's text."""
    assert refusal(changes) == code


def test_an_attribute_that_is_given_twice_is_refused():
    """Two readers could each take another one."""
    for name in ("ce_id", "ce_reason", "content-type"):
        with pytest.raises(EnvelopeError) as caught:
            read_envelope([*WHOLE.headers(), (name, b"1")])
        assert caught.value.code == "attribute-twice"


def test_a_header_without_a_value_is_refused():
    """Kafka allows it; an attribute has one."""
    with pytest.raises(EnvelopeError):
        read_envelope([*WHOLE.headers(), ("ce_x", None)])  # type: ignore[list-item]


def test_headers_of_other_conventions_are_left_alone():
    """Partners and tools add their own; a broken trace starts a new one and decides nothing."""
    headers = [(name, value) for name, value in WHOLE.headers() if name != "traceparent"]
    for strange in (b"\xff", b"00-zz", b"", None):
        read = read_envelope([*headers, ("traceparent", strange), ("x-origin", b"\xff"), ("x-origin", b"")])
        assert read.traceparent is None and read.id == WHOLE.id


@pytest.mark.parametrize("name", ["id", "type", "subject", "time", "specversion", "Reason", "a b", ""])
def test_an_extension_cannot_stand_in_for_an_attribute(name):
    """`ce_subject` says one thing, whoever adds to the envelope."""
    with pytest.raises(EnvelopeError):
        Envelope("1", "t", "/s", extensions={name: "x"}).headers()


@given(st.lists(st.tuples(st.text("ce_idtyp-", max_size=9), st.binary(max_size=9) | st.none()), max_size=9))
def test_any_headers_are_an_envelope_or_an_envelope_error(headers):
    """A buggy producer's headers are a dead letter, never a crash."""
    with contextlib.suppress(EnvelopeError):
        read_envelope(headers)
