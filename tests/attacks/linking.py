"""Attacks that would bring two things that one visitor did together, or a thing and a person.

Each makes claims of the form "these are one visitor's" and says beside each how likely a guess would be that knows what
is declared to be known: the cells of an hour as a heap, each with its text where a crowd opened it.
"""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from schemas.clicks import SEPARATOR
from tests.attacks.results import Result, judged
from tests.attacks.seen import Contribution, Stream
from tests.attacks.visits import Day, Visit

Claim = tuple[bool, float]
MOST_CLAIMS = 4_000


def by_tag(stream: Stream) -> Result:
    """Two contributions to different cells whose tags are the same, or as close as any two are."""
    ordered = sorted(set(stream.cells), key=lambda cell: (cell.tag, cell.id))
    chance = _chance([list(stream.cells)], stream)
    pairs = [pair for pair in itertools.pairwise(ordered) if pair[0].id != pair[1].id]
    return judged(_same(stream, _some(pairs), lambda _: chance))


def by_return(stream: Stream) -> Result:
    """Two cells each of which one tag contributed to in the same two or more hours: somebody who came back."""
    hours: dict[tuple[str, str], set[datetime]] = defaultdict(set)
    first: dict[tuple[str, str], Contribution] = {}
    for cell in stream.cells:
        hours[cell.id, cell.tag].add(_hour(cell))
        first.setdefault((cell.id, cell.tag), cell)
    alike: dict[frozenset[datetime], list[Contribution]] = defaultdict(list)
    for name, seen in hours.items():
        if len(seen) > 1:
            alike[frozenset(seen)].append(first[name])
    pairs = [
        pair
        for group in alike.values()
        for pair in itertools.pairwise(sorted(group, key=lambda cell: cell.id))
        if pair[0].id != pair[1].id
    ]
    chance = _chance(_hours(stream), stream)
    return judged(_same(stream, _some(pairs), lambda _: chance))


def by_neighbour(stream: Stream) -> Result:
    """Two cells that lie side by side in the log of a lane."""
    by_lane = sorted(stream.cells, key=lambda cell: (cell.lane, cell.position))
    pairs = [
        pair
        for pair in itertools.pairwise(by_lane)
        if pair[0].lane == pair[1].lane and pair[0].id != pair[1].id and _hour(pair[0]) == _hour(pair[1])
    ]
    return judged(_same(stream, _some(pairs), _guess_of_hour(stream)))


def by_batch(stream: Stream) -> Result:
    """Two cells that came to Kafka at the same moment."""
    chance = random.Random(5)
    flushes: dict[int, list[Contribution]] = defaultdict(list)
    for cell in stream.cells:
        flushes[cell.flush].append(cell)
    groups = [group for group in flushes.values() if len({cell.id for cell in group}) > 1]
    weights = [len(group) for group in groups]
    pairs = [chance.sample(group, 2) for group in chance.choices(groups, weights, k=MOST_CLAIMS)]
    drawn = [(one, other) for one, other in pairs if one.id != other.id]
    return judged(_same(stream, drawn, _guess_of_hour(stream)))


def by_chain(stream: Stream, kind: str) -> Result:
    """Whoever went from A to B is whoever went on from B to C: of those that fit, the one that came next."""
    return judged(_some(list(_chained(stream, kind))))


def by_time(stream: Stream, day: Day) -> Result:
    """Somebody is known to have seen a page at a moment: of the cells that fit, the one that lies where he must be."""
    chance = random.Random(6)
    visits = chance.sample(day.visits, min(len(day.visits), 1_500))
    return judged(_placed(stream, visits))


def by_order(stream: Stream, day: Day) -> Result:
    """Somebody is known to have ordered a product at a moment: what else did he look at?"""
    return judged(_ordered(stream, day))


def _same(
    stream: Stream,
    pairs: Iterable[tuple[Contribution, Contribution]],
    guess: Callable[[Contribution], float],
) -> Iterator[Claim]:
    for one, other in pairs:
        yield stream.truth.same(one, other), guess(one)


def _chained(stream: Stream, kind: str) -> Iterator[Claim]:
    followers: dict[tuple[datetime, str], list[Contribution]] = defaultdict(list)
    known = [cell for cell in stream.cells if cell.kind == kind and cell.text is not None]
    for cell in known:
        followers[_hour(cell), _parts(cell)[0]].append(cell)
    for cell in known:
        fitting = [each for each in followers[_hour(cell), _parts(cell)[1]] if each.position != cell.position]
        if fitting:
            later = [
                each for each in fitting if (each.flush, each.position) > (cell.flush, cell.position)
            ] or fitting
            best = min(later, key=lambda each: abs(each.position - cell.position))
            yield stream.truth.same(cell, best), _share(stream, fitting, stream.truth.visitor(cell))


def _placed(stream: Stream, visits: Sequence[Visit]) -> Iterator[Claim]:
    fitting: dict[tuple[datetime, str], list[Contribution]] = defaultdict(list)
    for cell in stream.cells:
        if cell.kind == "transition" and cell.text is not None:
            fitting[_hour(cell), _parts(cell)[1]].append(cell)
    for visit in visits:
        hour = visit.at.replace(minute=0, second=0, microsecond=0)
        route = "/p/{item}" if visit.page.item else visit.page.location
        there = fitting.get((hour, route), [])
        if there:
            # Records say nothing finer than the hour, if they say so; then what is left is their order.
            within = (visit.at - hour).total_seconds() / 3600
            exact = any(cell.moment != hour for cell in there)
            best = (
                min(there, key=lambda cell: abs((cell.moment - visit.at).total_seconds()))
                if exact
                else there[min(int(within * len(there)), len(there) - 1)]
            )
            who = visit.visitor.number
            yield stream.truth.visitor(best) == who, _share(stream, there, who)


def _ordered(stream: Stream, day: Day) -> Iterator[Claim]:
    by_hour: dict[datetime, list[Contribution]] = defaultdict(list)
    for cell in stream.cells:
        if cell.kind == "product":
            by_hour[_hour(cell)].append(cell)
    for order in day.orders:
        there = by_hour.get(order.at.replace(minute=0, second=0, microsecond=0), [])
        bought = [cell for cell in there if cell.text == order.item]
        others = [cell for cell in there if cell.text != order.item]
        if bought and others:
            mine = min(bought, key=lambda cell: abs((cell.moment - order.at).total_seconds()))
            linked = [cell for cell in others if cell.tag == mine.tag]
            best = linked[0] if linked else min(others, key=lambda cell: abs(cell.position - mine.position))
            who = order.visitor.number
            yield stream.truth.visitor(best) == who, _share(stream, others, who)


def _share(stream: Stream, cells: Sequence[Contribution], visitor: int) -> float:
    """Return how often one of these, drawn blindly, is this visitor's."""
    return sum(stream.truth.visitor(cell) == visitor for cell in cells) / len(cells)


def _guess_of_hour(stream: Stream) -> Callable[[Contribution], float]:
    chances = {_hour(group[0]): _chance([group], stream) for group in _hours(stream)}
    return lambda cell: chances[_hour(cell)]


def _hours(stream: Stream) -> list[list[Contribution]]:
    found: dict[datetime, list[Contribution]] = defaultdict(list)
    for cell in stream.cells:
        found[_hour(cell)].append(cell)
    return list(found.values())


def _chance(groups: Sequence[Sequence[Contribution]], stream: Stream) -> float:
    """Return how likely two cells of different names, drawn from one of the groups, are one visitor's."""
    same = total = 0
    for group in groups:
        visitors = Counter(stream.truth.visitor(cell) for cell in group)
        names = Counter(cell.id for cell in group)
        both = Counter((stream.truth.visitor(cell), cell.id) for cell in group)
        twice = sum(count * count for count in both.values())
        same += sum(count * count for count in visitors.values()) - twice
        total += len(group) ** 2 - sum(count * count for count in names.values())
    return same / total if total else 0.0


def _some(items: Sequence[object]) -> list:  # type: ignore[type-arg]
    """Return at most so many of them, drawn from a seed."""
    chosen = list(items)
    return chosen if len(chosen) <= MOST_CLAIMS else random.Random(4).sample(chosen, MOST_CLAIMS)


def _parts(cell: Contribution) -> list[str]:
    return (cell.text or "").split(SEPARATOR)


def _hour(cell: Contribution) -> datetime:
    return cell.moment.replace(minute=0, second=0, microsecond=0)
