"""The orders that are streamed: five trading days of a real shop where they are at hand, else made-up ones like them.

The files are the UCI "Online Retail" set: one line per product, orders by `InvoiceNo`. An invoice that begins with C
is a cancellation; it does not name its order. Invoices without a price, or with negative quantities, adjust a
stock and are no orders. There are no names, addresses or contacts in them.
"""

import csv
import gzip
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from services.demo.countries import code_of

MOST_LINES = 675
"""Of the largest order of those five days; generated orders stay below."""
CUSTOMERS_PERCENT = 70
"""So many customers for a hundred orders."""


@dataclass(frozen=True, slots=True)
class Line:
    """One product of an order; the price in minor units."""

    sku: str
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order of the shop."""

    number: str
    customer: str | None
    """None for a guest."""
    placed_at: datetime
    country: str
    """ISO 3166-1 alpha-2."""
    lines: tuple[Line, ...]

    @property
    def total_minor(self) -> int:
        return sum(line.quantity * line.unit_price_minor for line in self.lines)

    @property
    def person(self) -> str:
        """Who ordered; a guest is somebody new at every checkout."""
        return f"Customer {self.customer}" if self.customer else f"Guest {self.number}"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A C invoice, and the order it can only mean; None when no order here has what it cancels."""

    number: str
    customer: str | None
    order: str | None


@dataclass(frozen=True)
class Retail:
    """What a shop did in some days, in the order of its invoices."""

    source: str
    purchases: tuple[Purchase, ...]
    cancellations: tuple[Cancellation, ...]
    adjustments: int
    """Invoices that moved stock and concern nobody."""

    def first(self, orders: int) -> "Retail":
        """Return the first so many orders, and the cancellations up to then."""
        kept = self.purchases[:orders]
        if len(kept) == len(self.purchases):
            return self
        numbers = {each.number for each in kept}
        until = kept[-1].number if kept else ""
        said = tuple(
            each if each.order in numbers else Cancellation(each.number, each.customer, None)
            for each in self.cancellations
            if each.number[1:] <= until
        )
        return Retail(self.source, kept, said, self.adjustments)


Row = dict[str, str]


def read(folder: Path) -> Retail:
    """Return the days in a folder of `*.csv.gz`; raise `FileNotFoundError` where there is none."""
    files = sorted(folder.glob("*.csv.gz"))
    if not files:
        raise FileNotFoundError("no *.csv.gz in the folder of retail data")
    invoices: dict[str, list[Row]] = {}
    for row in _rows(files):
        invoices.setdefault(row["InvoiceNo"], []).append(row)
    purchases = tuple(_purchase(number, rows) for number, rows in invoices.items() if _is_order(number, rows))
    cancelled = {number: rows for number, rows in invoices.items() if number.startswith("C")}
    said = tuple(_cancellation(number, rows, purchases) for number, rows in cancelled.items())
    source = f"{len(files)} days of a real shop"
    return Retail(source, purchases, said, len(invoices) - len(purchases) - len(said))


def generate(orders: int, seed: int = 1) -> Retail:
    """Return orders of the same shape; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a demo that can be repeated, nothing to protect
    purchases: list[Purchase] = []
    cancellations: list[Cancellation] = []
    at = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    for number in range(536365, 536365 + orders):
        at += timedelta(minutes=chance.randint(1, 6))
        purchases.append(_made_up(chance, number, at, customers=orders * CUSTOMERS_PERCENT // 100))
        if chance.random() < 0.1:
            cancellations.append(_taken_back(chance, purchases[-1]))
    return Retail("orders made up by the demo", tuple(purchases), tuple(cancellations), 0)


def _rows(files: Sequence[Path]) -> Iterator[Row]:
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def _is_order(number: str, rows: Iterable[Row]) -> bool:
    priced = [(int(row["Quantity"]), Decimal(row["UnitPrice"])) for row in rows]
    sold = all(quantity > 0 and price >= 0 for quantity, price in priced)
    return number.isdigit() and sold and any(price for _, price in priced)


def _purchase(number: str, rows: Sequence[Row]) -> Purchase:
    first = rows[0]
    placed_at = datetime.fromisoformat(first["InvoiceDate"]).replace(tzinfo=UTC)
    return Purchase(number, _customer(first), placed_at, code_of(first["Country"]), tuple(map(_line, rows)))


def _line(row: Row) -> Line:
    # `Decimal`, because the nearest float of 2.55 is a penny short once it is multiplied and cut.
    price_minor = int((Decimal(row["UnitPrice"]) * 100).to_integral_exact())
    return Line(row["StockCode"], row["Description"].strip() or "-", int(row["Quantity"]), price_minor)


def _customer(row: Row) -> str | None:
    """Return the customer's number, which the files write as a float; None for a guest."""
    return row["CustomerID"].partition(".")[0] or None


def _cancellation(number: str, rows: Sequence[Row], purchases: Sequence[Purchase]) -> Cancellation:
    customer = _customer(rows[0])
    products = {row["StockCode"] for row in rows}
    fitting = (
        each.number for each in purchases
        if customer and each.customer == customer and products <= {line.sku for line in each.lines}
    )  # fmt: skip
    return Cancellation(number, customer, next(fitting, None))


def _taken_back(chance: random.Random, purchase: Purchase) -> Cancellation:
    """Return a cancellation of this order, or more often of one that was placed before the first day."""
    if purchase.customer and chance.random() < 0.3:
        return Cancellation(f"C{purchase.number}", purchase.customer, purchase.number)
    return Cancellation(f"C{purchase.number}", str(chance.randint(12_000, 18_000)), None)


def _made_up(chance: random.Random, number: int, at: datetime, customers: int) -> Purchase:
    guest = chance.random() < 0.06
    customer = None if guest else str(chance.randint(12_000, 12_000 + customers))
    count = min(MOST_LINES, 1 + int(chance.expovariate(1 / 25)))
    lines = (
        Line(f"{20_000 + chance.randint(0, 3_000)}", f"PRODUCT {chance.randint(1, 3_000)}", chance.randint(1, 24),
             chance.randint(19, 1_995))
        for _ in range(count)
    )  # fmt: skip
    country = chance.choices(("GB", "DE", "FR", "IE"), (94, 3, 2, 1))[0]
    return Purchase(str(number), customer, at, country, tuple(lines))
