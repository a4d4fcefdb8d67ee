"""The rows of the orders worker: one per order, in PostgreSQL, and the twin of it in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from schemas.deliveries import TrackingStatus
from schemas.privacy import Category, Sealed
from services.kernel.errors import StoreRejected
from services.kernel.storage import queries
from services.kernel.storage.interface import Pairs, Transaction
from services.orders.domain import Order, Stage

SQL = queries.beside(__file__)

SEALED = {"basket": Category.TRANSACTION, "ship_to": Category.LOGISTICS, "invoice": Category.ACCOUNTING}
"""The sealed columns and what each holds."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What an erasure did to a person's orders, and which pairs still have a value in a row."""

    deleted: int
    anonymised: int
    kept: Pairs


class OrderStore(Protocol):
    """What the worker asks of its rows. Keys are those of `domain.state_key`."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders that exist, also where an order id turns out to be another person's."""

    async def save(self, tx: Transaction, states: Mapping[str, Order]) -> None:
        """Insert or replace; raise `StoreRejected` where two people claim one order id at the same time."""

    async def clear(self, tx: Transaction, subject: str, but: Pairs) -> Cleared:
        """Delete the person's orders of which nothing is excepted; null the sealed parts that are not."""


class PostgresOrders:
    """The rows in the worker's own schema."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Order]:
        rows = await tx.connection.fetch(SQL.load, list({_order_id(key) for key in keys}))
        return _by_key(keys, {row["order_id"]: _order(row) for row in rows})

    async def save(self, tx: Transaction, states: Mapping[str, Order]) -> None:
        orders = _distinct(states)
        columns = zip(*(_columns(order) for order in orders), strict=True)
        if len(await tx.connection.fetch(SQL.save, *columns)) != len(orders):
            raise order_foreign()

    async def clear(self, tx: Transaction, subject: str, but: Pairs) -> Cleared:
        scopes, categories = [scope for scope, _ in but], [category for _, category in but]
        deleted = await tx.connection.fetch(SQL.delete_unheld, subject, scopes)
        anonymised = await tx.connection.fetch(SQL.anonymise_unheld, subject, scopes, categories)
        kept = await tx.connection.fetch(SQL.kept, subject)
        return Cleared(len(deleted), len(anonymised), frozenset((row[0], row[1]) for row in kept))


class MemoryOrders:
    """The twin: the same promises on a dictionary of orders."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Order]:
        return _by_key(keys, self._rows(tx))

    async def save(self, tx: Transaction, states: Mapping[str, Order]) -> None:
        rows = self._rows(tx)
        for order in _distinct(states):
            before = rows.get(order.id, order)
            if before.subject != order.subject:
                raise order_foreign()
            rows[order.id] = replace(order, basket=before.basket, ship_to=before.ship_to)

    async def clear(self, tx: Transaction, subject: str, but: Pairs) -> Cleared:
        rows = self._rows(tx)
        mine = [order for order in rows.values() if order.subject == subject]
        held = {scope for scope, _ in but}
        unheld = [order for order in mine if order.id not in held]
        for order in unheld:
            del rows[order.id]
        lighter = {order.id: _without_unheld(order, but) for order in mine if order.id in held}
        anonymised = [id for id, order in lighter.items() if order != rows[id]]
        rows.update(lighter)
        return Cleared(len(unheld), len(anonymised), frozenset(_values(lighter.values())))

    @staticmethod
    def _rows(tx: Transaction) -> dict[str, Order]:
        rows: dict[str, Order] = tx.connection["orders"]
        return rows


def order_foreign() -> StoreRejected:
    """Return the error of an order id that two people claim in the same moment."""
    return StoreRejected("order-foreign", constraint="orders_pkey")


def _distinct(states: Mapping[str, Order]) -> list[Order]:
    """Return the orders; two people's orders of one id must not meet in one statement."""
    if len({order.id for order in states.values()}) != len(states):
        raise order_foreign()
    return list(states.values())


def _by_key(keys: Sequence[str], rows: Mapping[str, Order]) -> dict[str, Order]:
    return {key: rows[_order_id(key)] for key in keys if _order_id(key) in rows}


def _order_id(key: str) -> str:
    return key.partition("/")[2]


def _columns(order: Order) -> tuple[Any, ...]:
    sealed = tuple(value and value.token for value in (order.basket, order.ship_to, order.invoice))
    return order.id, order.subject, order.stage, order.revision, order.carrier, order.tracking, *sealed


def _order(row: Mapping[str, Any]) -> Order:
    basket, ship_to, invoice = (row[name] and Sealed(row[name]) for name in SEALED)
    return Order(
        id=row["order_id"],
        subject=row["subject"],
        stage=Stage(row["stage"]),
        revision=row["revision"],
        carrier=row["carrier"],
        basket=basket,
        ship_to=ship_to,
        invoice=invoice,
        tracking=row["tracking"] and TrackingStatus(row["tracking"]),
    )


def _without_unheld(order: Order, but: Pairs) -> Order:
    gone: dict[str, Any] = {name: None for name, kind in SEALED.items() if (order.id, kind) not in but}
    return replace(order, **gone)


def _values(orders: Iterable[Order]) -> Iterable[tuple[str, str]]:
    for order in orders:
        for name, category in SEALED.items():
            if getattr(order, name) is not None:
                yield order.id, category
