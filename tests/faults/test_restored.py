"""Faults of memory: a database that comes back from before people were forgotten (O1, O3)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.errors import PlatformUnavailable
from tests.faults.backups import Backup, refused
from tests.faults.town import Town, own_town
from tests.fixtures import evidence
from tests.fixtures.evidence import await_
from tests.fixtures.lethe import lethe

pytestmark = pytest.mark.slow
ON_DATA = ("erasure", "orders", "carriers", "gateway")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A platform of its own: its past is going to be changed."""
    with own_town(tmp_path) as found:
        yield found


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Where the copies lie: outside the platform, as they should."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


@pytest.mark.full
def test_data_from_before_an_erasure_are_refused_and_then_brought_up_to_date(
    town: Town, backups: Path
) -> None:
    """Nobody comes back, nobody is lost, and the carrier hears nothing twice."""
    backup = Backup.take(town.stack, "data", backups)
    town.live_on()
    orders, shipments = town.stages(*town.living), town.shipments(*town.living)
    backup.put_back(town.stack)

    for worker in ON_DATA:
        assert "database-restored" in refused(town.stack, worker), f"{worker} serves"
    town.restart(restored=True)
    town.rest()
    assert town.stages(*town.living) == orders
    assert town.shipments(*town.living) == shipments
    assert town.told_twice() == {}
    for person in town.forgotten:
        town.await_certified(person)
    assert town.left_of(*town.forgotten) == []
    assert town.in_clear() == []
    # Of who came and was forgotten since, an invoice that the law keeps is there without its order, and a carrier's
    # word about a parcel that nobody knows any more.
    letters = [row for worker in evidence.WORKERS for row in evidence.letters(town.stack, worker)]
    assert {row["code"] for row in letters} <= {"order-unknown", "reference-unknown"}
    assert {row["subject"] for row in letters} <= {None, town.late.subject}
    # The word is not kept: from here on it is a platform like any other.
    town.restart()
    town.shop.say(town.gone.pays(town.gone.orders[2]))
    town.order(town.new)
    town.await_stages(town.new, "closed", "closed")
    assert town.shop.send([town.late.places(town.carrier.name)]) == [410]


@pytest.mark.full
@pytest.mark.parametrize("rotated", [False, True], ids=["as it was", "older than a rotation"])
def test_a_keyring_from_before_an_erasure_serves_nobody_until_it_has_forgotten(
    town: Town, backups: Path, rotated: bool
) -> None:
    """It is refused, then reads holds and commands first: the keys it brought back die before anybody can ask.

    Older than holds as well: an order confirmed and closed since is neither lost nor kept. Older than a rotation: what
    was wrapped under a version that is gone cannot be opened by it, and by nobody who copied it.
    """
    backup = Backup.take(town.stack, "keyring", backups)
    town.live_on()
    orders, shipments = town.stages(*town.living), town.shipments(*town.living)
    if rotated:
        lethe(town.stack.state, "keys", "rotate")
        await_("the old versions are destroyed", lambda: not backup.names_a_kek_of(town.stack))
    backup.put_back(town.stack)
    if rotated:
        # The versions that the copy names are destroyed: only with the files of that time could it serve.
        with pytest.raises(PlatformUnavailable, match="kek-missing"):
            town.restart(restored=True)
        backup.put_back_keks(town.stack)
    assert "database-restored" in refused(town.stack, "keyring")
    town.restart(restored=True)
    town.rest()
    assert town.stages(*town.living) == orders
    assert town.shipments(*town.living) == shipments
    assert town.told_twice() == {}
    assert town.left_of(*town.forgotten) == []
    assert town.in_clear() == []
    town.restart()
    assert town.shop.send([person.places(town.carrier.name) for person in town.forgotten]) == [
        410,
        410,
    ]
    town.order(town.stays)
    town.await_stages(town.stays, "closed", "paid", "closed", "closed")
