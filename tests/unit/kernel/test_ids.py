"""Ids that are derived never change: whoever folds by them would take every old event for a new one."""

import uuid

from services.kernel.ids import derived_id


def test_a_derived_id_is_a_uuid_of_version_8_and_stays_what_it_was() -> None:
    """RFC 9562 §5.8; computed once with Python's own `uuid`."""
    made = derived_id("/workers/orders", "5f0c3f5e-0000-8000-8000-000000000000", "lethe.hold.confirmed.v1", 0)
    assert made == "9062a281-a05a-8d0c-812d-3393b5012179"
    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (8, uuid.RFC_4122)
