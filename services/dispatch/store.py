"""The rows of dispatch: one per shipment, and the registry it decides by. In PostgreSQL, and a twin in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from schemas.erasure import PartnerCopy
from schemas.partners import RevocationReason
from schemas.privacy import Sealed
from schemas.shipments import Service
from services.dispatch.agreements import Agreement
from services.dispatch.domain import Copy, Partner, Registry, Shipment, Stage
from services.kernel.errors import StoreRejected
from services.kernel.storage import queries
from services.kernel.storage.interface import Transaction

SQL = queries.beside(__file__)


class Word(NamedTuple):
    """What partners were told and said about one erased person."""

    request: str
    partners: tuple[PartnerCopy, ...]


class ShipmentStore(Protocol):
    """What dispatch asks of its rows. The state key is the order id."""

    async def registry(self, tx: Transaction) -> Registry:
        """Return every partner with its agreements."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Shipment]:
        """Return the shipments that exist."""

    async def save(self, tx: Transaction, states: Mapping[str, Shipment]) -> None:
        """Insert or replace; a reference that a row forgets becomes a spent one."""

    async def of_subject(self, tx: Transaction, subject: str) -> list[Shipment]:
        """Return a person's shipments."""

    async def delete(self, tx: Transaction, orders: Sequence[str]) -> None:
        """Delete shipments."""

    async def copies(self, tx: Transaction, references: Sequence[str]) -> dict[str, Copy]:
        """Return what references stand for; whoever's lane the shipment is in."""

    async def words(self, tx: Transaction, subjects: Sequence[str]) -> dict[str, Word]:
        """Return what partners were told and said about those of these people who are erased."""


class PostgresShipments:
    """The rows in the worker's own schema."""

    async def registry(self, tx: Transaction) -> Registry:
        return registry_of(await tx.connection.fetch(SQL.registry))

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Shipment]:
        return {row["order_id"]: _shipment(row) for row in await tx.connection.fetch(SQL.load, keys)}

    async def save(self, tx: Transaction, states: Mapping[str, Shipment]) -> None:
        columns = list(zip(*(_columns(each) for each in states.values()), strict=True))
        await tx.connection.execute(SQL.spend, columns[_ORDER], columns[_REFERENCE])
        if len(await tx.connection.fetch(SQL.save, *columns)) != len(states):
            raise _foreign()

    async def of_subject(self, tx: Transaction, subject: str) -> list[Shipment]:
        return [_shipment(row) for row in await tx.connection.fetch(SQL.of_subject, subject)]

    async def delete(self, tx: Transaction, orders: Sequence[str]) -> None:
        await tx.connection.execute(SQL.delete, orders)

    async def copies(self, tx: Transaction, references: Sequence[str]) -> dict[str, Copy]:
        rows = await tx.connection.fetch(SQL.copies, references)
        return {row["reference"]: Copy(*row.values()) for row in rows}

    async def words(self, tx: Transaction, subjects: Sequence[str]) -> dict[str, Word]:
        said: dict[str, Word] = {}
        for row in await tx.connection.fetch(SQL.words, subjects):
            fields = {name: row[name] for name in PartnerCopy.model_fields}
            before = said.get(row["subject"], Word(row["request"], ()))
            said[row["subject"]] = Word(row["request"], (*before.partners, PartnerCopy(**fields)))
        return said


class MemoryShipments:
    """The twin: the same promises on dictionaries."""

    async def registry(self, tx: Transaction) -> Registry:
        partners: Registry = tx.connection["partner"]
        return partners

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Shipment]:
        rows = self._rows(tx)
        return {key: rows[key] for key in keys if key in rows}

    async def save(self, tx: Transaction, states: Mapping[str, Shipment]) -> None:
        rows = self._rows(tx)
        for shipment in states.values():
            before = rows.get(shipment.order, shipment)
            if before.subject != shipment.subject:
                raise _foreign()
            if before.reference and not shipment.reference:
                tx.connection["spent_reference"][before.reference] = before.partner
            rows[shipment.order] = shipment

    async def of_subject(self, tx: Transaction, subject: str) -> list[Shipment]:
        rows = (each for each in self._rows(tx).values() if each.subject == subject)
        return sorted(rows, key=attrgetter("order"))

    async def delete(self, tx: Transaction, orders: Sequence[str]) -> None:
        for order in orders:
            self._rows(tx).pop(order, None)

    async def copies(self, tx: Transaction, references: Sequence[str]) -> dict[str, Copy]:
        spent = tx.connection["spent_reference"]
        found = {each: Copy(each, spent[each]) for each in references if each in spent}
        for row in self._rows(tx).values():
            if row.reference is not None and row.reference in references:
                found[row.reference] = Copy(row.reference, row.partner, row.subject, row.order)
        return found

    async def words(self, tx: Transaction, subjects: Sequence[str]) -> dict[str, Word]:
        return {
            subject: Word(erased[0].request or "", tuple(_words(erased)))
            for subject in subjects
            if (erased := [each for each in await self.of_subject(tx, subject) if each.request])
        }

    @staticmethod
    def _rows(tx: Transaction) -> dict[str, Shipment]:
        rows: dict[str, Shipment] = tx.connection["shipment"]
        return rows


def registry_of(rows: Iterable[Mapping[str, Any]]) -> Registry:
    """Return the registry of rows of partners with their agreements, sorted by partner."""
    return {
        partner: Partner(partner, key, tuple(_agreement(row) for row in group if row["sha256"]))
        for (partner, key), group in groupby(rows, lambda row: (row["partner_id"], row["public_key"]))
    }


def _agreement(row: Mapping[str, Any]) -> Agreement:
    return Agreement(
        row["sha256"], tuple(row["fields"]), row["valid_from"], row["valid_to"], row["ended_at"], row["scope"]
    )


_NAMES = [field.name for field in fields(Shipment)]
_ORDER, _REFERENCE, _SHIP_TO = map(_NAMES.index, ("order", "reference", "ship_to"))
_values = attrgetter(*_NAMES)


def _columns(shipment: Shipment) -> list[Any]:
    values = list(_values(shipment))
    values[_SHIP_TO] = shipment.ship_to and shipment.ship_to.token
    return values


def _shipment(row: Mapping[str, Any]) -> Shipment:
    return Shipment(
        order=row["order_id"],
        subject=row["subject"],
        partner=row["partner"],
        stage=Stage(row["stage"]),
        service=row["service"] and Service(row["service"]),
        code=row["code"],
        ship_to=row["ship_to"] and Sealed(row["ship_to"]),
        reference=row["reference"],
        reason=row["reason"] and RevocationReason(row["reason"]),
        log_clear_at=row["log_clear_at"],
        due_at=row["due_at"],
        request=row["request"],
    )


def _words(erased: Sequence[Shipment]) -> Iterable[PartnerCopy]:
    for partner, group in groupby(sorted(erased, key=attrgetter("partner")), attrgetter("partner")):
        rows = list(group)
        waiting = [each for each in rows if each.stage is Stage.REVOKED]
        yield PartnerCopy(
            partner=partner,
            revoked=len(rows),
            acknowledged=sum(each.stage is Stage.FORGOTTEN for each in rows),
            due_at=max((each.due_at for each in waiting if each.due_at), default=None),
            log_clear_at=max((each.log_clear_at for each in rows if each.log_clear_at), default=None),
        )


def _foreign() -> StoreRejected:
    return StoreRejected("shipment-foreign", constraint="shipment_pkey")
