"""Making tags again: everybody who could have been the visitor is tried, with everything that is left of a key."""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence

from services.gateway.clicks.tags import Visitor as Tagger
from services.kernel.sealing.keys import KEY_BYTES
from services.kernel.sealing.tagging import TagKey
from tests.attacks.linking import Claim
from tests.attacks.naive import named
from tests.attacks.played import HandClock
from tests.attacks.results import Result, judged
from tests.attacks.seen import Contribution, Stream
from tests.attacks.visits import AGENTS, SHOP, Day, Visitor

SUSPECTS = 100
"""So many (address, user agent) are tried for each victim; the whole space is 2^32 addresses times the agents."""


def left_over(stream: Stream) -> list[bytes]:
    """Return what somebody would try for a key who has everything that is left of the day."""
    said = ["", "1", "lethe", SHOP, "2026-03-11", f"{SHOP} 2026-03-11", "lethe-tag-key", "1 2026-03-11"]
    ids = sorted({value for raw in stream.raw[:4] for name, value in raw.headers if name == "ce_id"})
    values = [raw.value for raw in stream.raw[:4]]
    seeds = [text.encode() for text in said] + ids + values
    return [bytes(KEY_BYTES), b"\xff" * KEY_BYTES, *(hashlib.sha256(seed).digest() for seed in seeds)]


def recomputed(stream: Stream, day: Day, keys: Sequence[bytes], victims: int = 60) -> Result:
    """Claim for visitors of whom a cell's text is known, who among the suspects they are: whose tag it is."""
    chance = random.Random(8)
    people = {visit.visitor.number: visit.visitor for visit in day.visits}
    readable = [cell for cell in stream.cells if cell.text is not None]
    return judged(_named(stream, chance.sample(readable, victims), people, keys, chance))


def _named(
    stream: Stream,
    cells: Sequence[Contribution],
    people: Mapping[int, Visitor],
    keys: Sequence[bytes],
    chance: random.Random,
) -> Iterator[Claim]:
    for cell in cells:
        true = people[stream.truth.visitor(cell)]
        suspects = [true, *(_anybody(chance) for _ in range(SUSPECTS - 1))]
        chance.shuffle(suspects)
        fitting = [who for who in suspects if cell.tag in _tags(who, cell, keys)]
        answer = fitting[0] if fitting else chance.choice(suspects)
        yield answer == true, 1 / SUSPECTS


def _tags(who: Visitor, cell: Contribution, keys: Sequence[bytes]) -> set[str]:
    found = {named(who)}
    for material in keys:
        key = TagKey(1, material, 86_400.0, HandClock())
        tagger = Tagger(key, SHOP, who.address, who.agent)
        found.add(tagger.tag(cell.kind, cell.window, cell.text or ""))  # type: ignore[arg-type]
    return found


def _anybody(chance: random.Random) -> Visitor:
    address = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
    return Visitor(-1, address, chance.choice(AGENTS))
