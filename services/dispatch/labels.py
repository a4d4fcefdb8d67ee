"""The last hand on what leaves for a partner: opened on a lease, projected, sealed again for the partner alone (D2)."""

from collections.abc import Callable, Sequence

import orjson
from pydantic import ValidationError

from schemas.addresses import Recipient
from schemas.partners import ParcelOffered
from schemas.privacy import Category, Purpose
from services.dispatch.events import LabelDue
from services.dispatch.label_jwe import seal_for
from services.dispatch.partners import partner_key
from services.dispatch.projection import project
from services.kernel.broker.interface import Message
from services.kernel.clock import Clock, SystemClock
from services.kernel.errors import LeaseExpired, RejectedRecord
from services.kernel.sealing.interface import Keyring
from services.kernel.sealing.jwe import padded_length
from services.kernel.sealing.keys import Erased, KeyRef
from services.kernel.sealing.lease import LEASE_SECONDS, Lease, Want
from services.kernel.sealing.place import checked
from services.kernel.storage.interface import OutboxRow
from services.kernel.telemetry import log, metrics
from services.kernel.worker.worker import Prepared

_log = log.get("labels")


class Labels:
    """Prepares parcels for their partners: the `Outbound` of dispatch."""

    def __init__(self, keyring: Keyring, clock: Clock | None = None) -> None:
        self._keyring = keyring
        self._clock = clock or SystemClock()

    async def prepare(self, rows: Sequence[OutboxRow]) -> Prepared:
        """Return one message per row, None for an address that was erased or does not open.

        No address is opened earlier than this, so an erasure finds what waits in the outbox still sealed.
        """
        labels = [LabelDue.model_validate_json(row.value or b"") for row in rows]
        wants = [_want(row, label) for row, label in zip(rows, labels, strict=True)]
        # From before the keys are asked for, so never later than the keyring counts.
        ends_at = self._clock.monotonic() + LEASE_SECONDS
        async with self._keyring.lease(Purpose.DELIVERY, wants) as lease:
            made = [_message(*each, lease) for each in zip(rows, labels, wants, strict=True)]
        return Prepared(made, self._valid_until(ends_at))

    def _valid_until(self, ends_at: float) -> Callable[[], None]:
        def valid() -> None:
            if self._clock.monotonic() >= ends_at:
                raise LeaseExpired

        return valid


def _want(row: OutboxRow, label: LabelDue) -> Want:
    ref = KeyRef(row.subject or "", Category.LOGISTICS, label.order)
    return Want(label.ship_to.token, checked(label.place("ship_to")), ref)


def _message(row: OutboxRow, label: LabelDue, want: Want, lease: Lease) -> Message | None:
    try:
        opened = lease.unseal(want)
        if isinstance(opened, Erased):
            _count_dropped(row, "erased")
            return None
        recipient = Recipient.model_validate_json(opened)
    except (RejectedRecord, ValidationError):
        # Sealed by our own edge and carried by our own workers: what does not open now never will.
        _log.error("label does not open", partner=row.partner, code="unsealing-failed")
        _count_dropped(row, "unsealing-failed")
        return None
    text = orjson.dumps(project(recipient, label.fields))
    key, kid = partner_key(label.key)
    # JSON may end in spaces; the length of a label then says as little as that of a sealed value.
    sealed = seal_for(key, kid, text.ljust(padded_length(len(text))))
    offered = ParcelOffered(reference=label.reference, service=label.service, label=sealed)
    metrics.PARTNER_OFFERED.labels(partner=row.partner).inc()
    return Message(row.topic, row.key.encode(), offered.model_dump_json().encode(), row.headers)


def _count_dropped(row: OutboxRow, code: str) -> None:
    metrics.PARTNER_DROPPED.labels(partner=row.partner, code=code).inc()
