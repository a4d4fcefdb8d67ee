"""What the demo streams: a real shop's days, whose file has traps, or made-up ones of the same shape."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.addresses import Recipient
from schemas.orders import Basket, Invoice
from services.demo import people, retail
from services.demo.run import DATA
from services.demo.scene import write_script

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
needs_data = pytest.mark.skipif(
    not DATA.exists(), reason="the days of a real shop are not beside the checkout"
)


def read(tmp_path: Path, *lines: str) -> retail.Retail:
    import gzip

    with gzip.open(tmp_path / "2010-12-01.csv.gz", "wt", encoding="utf-8") as file:
        file.write(HEADER + "\n".join(lines) + "\n")
    return retail.read(tmp_path)


@needs_data
def test_the_five_days_hold_what_is_known_of_them() -> None:
    """527 orders, 61 cancellations of which 18 mean an order that is there, 58 stock adjustments."""
    days = retail.read(DATA)
    assert (len(days.purchases), len(days.cancellations), days.adjustments) == (527, 61, 58)
    assert sum(each.order is not None for each in days.cancellations) == 18
    assert max(len(each.lines) for each in days.purchases) == 675
    assert sum(each.customer is None for each in days.purchases) == 31


@needs_data
def test_every_order_of_the_five_days_keeps_the_contracts() -> None:
    """Sums, exponents, addresses: nothing is refused at the edge."""
    for purchase in retail.read(DATA).purchases:
        Basket.model_validate_json(_json(people.basket(purchase)))
        Invoice.model_validate_json(_json(people.invoice(purchase)))
        Recipient.model_validate_json(_json(people.recipient(purchase, "a note")))


def test_a_price_is_exact(tmp_path: Path) -> None:
    """2.55 is 255 pence; by way of a float it would be 254."""
    days = read(tmp_path, "1,A,THING,3,2010-12-01 08:26:00,2.55,17850.0,United Kingdom")
    assert days.purchases[0].lines[0].unit_price_minor == 255
    assert days.purchases[0].total_minor == 765
    assert days.purchases[0].person == "Customer 17850"


def test_a_stock_adjustment_is_no_order(tmp_path: Path) -> None:
    """Neither one without a price nor one with a negative quantity; both concern nobody."""
    days = read(
        tmp_path,
        "1,A,,56,2010-12-01 08:26:00,0.0,,United Kingdom",
        "2,A,damaged,-3,2010-12-01 08:26:00,0.0,,United Kingdom",
    )
    assert not days.purchases
    assert days.adjustments == 2


def test_a_cancellation_means_an_order_of_the_same_customer_that_has_what_it_cancels(tmp_path: Path) -> None:
    """C invoices do not name their order; one that fits none is a real dead letter."""
    days = read(
        tmp_path,
        "1,A,THING,3,2010-12-01 08:26:00,1.0,17850.0,EIRE",
        "1,B,OTHER,1,2010-12-01 08:26:00,1.0,17850.0,EIRE",
        "C2,B,OTHER,-1,2010-12-01 09:00:00,1.0,17850.0,EIRE",
        "C3,B,OTHER,-1,2010-12-01 09:00:00,1.0,12345.0,EIRE",
        "C4,Z,ELSE,-1,2010-12-01 09:00:00,1.0,17850.0,EIRE",
        "C5,A,THING,-1,2010-12-01 09:00:00,1.0,,EIRE",
    )
    assert [each.order for each in days.cancellations] == ["1", None, None, None]
    assert days.purchases[0].country == "IE"


def test_a_guest_is_somebody_new_at_every_checkout(tmp_path: Path) -> None:
    """No customer number: nothing links two orders."""
    days = read(
        tmp_path,
        "1,A,THING,3,2010-12-01 08:26:00,1.0,,France",
        "2,A,THING,3,2010-12-01 08:27:00,1.0,,France",
    )
    assert len({each.person for each in days.purchases}) == 2


def test_the_first_orders_keep_only_cancellations_that_had_come() -> None:
    """A cancellation of an order that is left out means none."""
    days = retail.generate(300)
    first = days.first(100)
    numbers = {each.number for each in first.purchases}
    assert len(numbers) == 100
    assert all(each.order in numbers for each in first.cancellations if each.order)
    assert len(first.cancellations) < len(days.cancellations)


def test_made_up_orders_are_the_same_every_time_and_keep_the_contracts() -> None:
    """Where the files are absent, the demo is still one that can be repeated."""
    days = retail.generate(120)
    assert days == retail.generate(120)
    customers = {each.number: each.customer for each in days.purchases}
    meant = [each for each in days.cancellations if each.order]
    assert meant and all(each.customer and each.customer == customers[each.order or ""] for each in meant)
    for purchase in days.purchases:
        Basket.model_validate_json(_json(people.basket(purchase)))
        Recipient.model_validate_json(_json(people.recipient(purchase)))


def test_people_are_made_up_and_stay_the_same() -> None:
    """An example domain, a number kept for films, no name but the shop's own number."""
    first, again = (people.recipient(retail.generate(30).purchases[0]) for _ in range(2))
    assert first == again
    assert first["email"].endswith(".example")
    assert first["phone"].startswith("+447700900")
    assert first["name"].split()[0] in ("Customer", "Guest")


def test_the_cast_has_nothing_to_do_with_the_late_orders() -> None:
    """Whoever is forgotten neither orders nor cancels later: their erasure is final."""
    days = retail.generate(400)
    script = write_script(days, "a note of somebody", 15)
    cast = {script.cast.closed, script.cast.open, *script.cast.crowd}
    assert len(cast) == 17
    assert not cast & {each.person for each in script.late}
    assert not cast & {f"Customer {each.customer}" for each in days.cancellations}
    assert len(script.early) + len(script.late) == 400


def _json(content: Any) -> str:
    return json.dumps(content, default=lambda moment: moment.isoformat())
