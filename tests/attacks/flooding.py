"""A stranger floods a shop before and after a visit he knows of, so that the visit leaves beside forgeries only."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.gateway.clicks.anonymiser import Anonymiser
from services.gateway.clicks.page import Page
from tests.attacks.linking import Claim
from tests.attacks.played import STEP, played_day
from tests.attacks.results import Result, judged
from tests.attacks.seen import Contribution, Stream
from tests.attacks.visits import DAY, Day, Shape, Visit, day_of

ADDRESS = "203.0.113.7"
WORDS = [Page("", term=f"forged word {number}") for number in range(495)]
"""What each of his user agents searches for."""
AT_ONCE = timedelta()
MOST_CLAIMS = 20
"""About one victim."""


def victims_of(day: Day, count: int) -> list[Visit]:
    """Return so many visits of different hours and visitors, drawn from a seed."""
    chance = random.Random(9)
    found: dict[datetime, Visit] = {}
    for visit in chance.sample(day.visits, len(day.visits)):
        found.setdefault(_hour(visit.at), visit)
    return list(found.values())[:count]


def flooded(shape: Shape, victims: Sequence[Visit], agents: int) -> Stream:
    """Return what the day leaves on the topic, with a flood right before and right after each of these visits."""
    day = day_of(shape)
    waves = sorted(
        (visit.at + beside, number) for number, visit in enumerate(victims) for beside in (-STEP, AT_ONCE)
    )

    def flood(anonymiser: Anonymiser, at: datetime) -> None:
        while waves and waves[0][0] < at:
            _, number = waves.pop(0)
            for agent in range(agents):
                anonymiser.take(day.site, ADDRESS, f"Forged/{len(waves)}.{number}.{agent}", WORDS)

    return played_day(day, shape, beside=flood)


def by_flood(stream: Stream, victims: Sequence[Visit]) -> Result:
    """Claim of what arrived next after a known visit, forgeries left out, that it is that visitor's.

    Guessing draws from all that arrived with the visit's hour, forgeries left out as well.
    """
    return judged(_isolated(stream, victims))


def _isolated(stream: Stream, victims: Sequence[Visit]) -> Iterator[Claim]:
    chance = random.Random(10)
    hours: dict[datetime, list[Contribution]] = defaultdict(list)
    batches: dict[int, list[Contribution]] = defaultdict(list)
    for cell in stream.cells:
        if (cell.id, cell.tag) in stream.truth.who:
            hours[cell.moment].append(cell)
            batches[cell.flush].append(cell)
    for visit in victims:
        # The number of the step in which it was taken.
        seen = 1 + int((visit.at - DAY) / STEP)
        there, who = hours[_hour(visit.at)], visit.visitor.number
        next_ones = [batches[flush] for flush in sorted(batches) if flush >= seen]
        if there and next_ones:
            guess = sum(stream.truth.visitor(cell) == who for cell in there) / len(there)
            # Which forgeries have room is not the same in every process, and with them the order.
            batch = sorted(next_ones[0], key=lambda cell: (cell.id, cell.tag))
            for cell in chance.sample(batch, min(MOST_CLAIMS, len(batch))):
                yield stream.truth.visitor(cell) == who, guess


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
