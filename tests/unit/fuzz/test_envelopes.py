"""Any headers of a record are an envelope or a refusal by code; what is taken can be written again (C4)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Envelope, EnvelopeError, read_envelope
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import NASTY, corpus, damaged, says_nothing_of

CODES = {"structured-mode", "content-type", "specversion"} | {
    f"attribute-{why}" for why in ("missing", "twice", "encoding", "name", "form", "time")
}
WHOLE = [
    ("ce_specversion", b"1.0"), ("ce_id", b"Quxolotl-1"), ("ce_type", b"lethe.order.placed.v1"),
    ("ce_source", b"/storefronts/Quxolotl"), ("ce_time", b"2026-11-23T10:00:00Z"), ("ce_subject", b"5" * 32),
    ("ce_policyversion", b"1"), ("ce_reason", b"erased"), ("content-type", b"application/json"),
    ("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
]  # fmt: skip
names = (
    st.sampled_from([name for name, _ in WHOLE])
    | st.text(max_size=30).map("ce_".__add__)
    | st.text(max_size=30)
)
values = damaged([value for _, value in WHOLE]) | st.sampled_from(NASTY) | st.none()


def check(headers: list[tuple[str, bytes | None]]) -> None:
    try:
        envelope = read_envelope(headers)  # type: ignore[arg-type]
    except EnvelopeError as refused:
        says_nothing_of(refused)
        assert refused.code in CODES
        return
    said = [
        envelope.id,
        envelope.type,
        envelope.source,
        envelope.subject or "-",
        *envelope.extensions.values(),
    ]
    assert all(text.isprintable() and 0 < len(text) <= 256 for text in said)
    again = read_envelope(envelope.headers())
    assert same(again) == same(envelope)


def same(envelope: Envelope) -> tuple[object, ...]:
    """Return what survives writing: a time is written in whole seconds."""
    time = envelope.time.replace(microsecond=0) if envelope.time else None
    return (
        envelope.id,
        envelope.type,
        envelope.source,
        envelope.subject,
        envelope.policy,
        time,
        envelope.extensions,
    )


@pytest.mark.parametrize(("name", "data"), corpus("envelope"))
def test_what_was_found_before_is_still_decided(name: str, data: bytes) -> None:
    check([(key, value.encode("latin-1") if value is not None else None) for key, value in json.loads(data)])


@given(
    changes=st.lists(st.tuples(st.integers(0, 9), names, values), max_size=4),
    more=st.lists(st.tuples(names, values), max_size=2),
)
@examples(300)
def test_any_headers_are_an_envelope_or_refused(
    changes: list[tuple[int, str, bytes | None]], more: list[tuple[str, bytes | None]]
) -> None:
    headers: list[tuple[str, bytes | None]] = list(WHOLE)
    for place, name, value in changes:
        headers[place] = (name if place % 2 else headers[place][0], value)
    check([*headers, *more])
