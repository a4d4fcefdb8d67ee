"""What can be read off the access matrix: a picture for people, a card for each principal, a version for proofs.

Nothing here adds a right: who changes `topics.py` changes these, and the tests that compare them with the world.
"""

import hashlib
import json
from collections.abc import Container
from dataclasses import dataclass

from schemas.privacy import Category, Purpose
from schemas.topics import LANES, MINTS, OPENS, OPERATOR, OWNERS, TOPICS, WORKERS, Topic, for_carrier

ANY_PARTNER = "{partner}"
"""Stands for every partner's id."""
_PARTNER_TOPICS = for_carrier(ANY_PARTNER)
ALL_TOPICS = (*TOPICS, *_PARTNER_TOPICS)
"""Every topic of the platform, a partner's two once for all partners."""


@dataclass(frozen=True)
class Card:
    """What one principal may do, and what it can never do."""

    principal: str
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    mints: tuple[Category, ...]
    opens: tuple[tuple[Category, Purpose], ...]
    owner: bool
    """It keeps rows about subjects: it owes a receipt to every erasure."""
    never_opens: tuple[Category, ...]
    never_reads: tuple[Topic, ...]


def card(principal: str) -> Card:
    """Return a principal's rights; raises `KeyError` for one that the matrix does not know."""
    if principal not in principals():
        raise KeyError(principal)
    opens = OPENS.get(principal, {})
    readable = ALL_TOPICS if principal == OPERATOR else tuple(t for t in ALL_TOPICS if principal in t.readers)
    return Card(
        principal=principal,
        reads=readable,
        writes=tuple(topic for topic in ALL_TOPICS if principal in topic.writers),
        mints=tuple(sorted(MINTS.get(principal, ()))),
        opens=tuple(sorted(opens.items())),
        owner=principal in OWNERS,
        never_opens=tuple(category for category in Category if category not in opens),
        never_reads=tuple(topic for topic in ALL_TOPICS if topic not in readable),
    )


def lines(shown: Card) -> tuple[tuple[str, str], ...]:
    """Return a card as pairs of a heading and a line of text, in a fixed order."""
    opens = [f"{category.value} for {purpose.value}" for category, purpose in shown.opens]
    never = [f"opens {_names(shown.never_opens)}"] if shown.never_opens else []
    never += [f"reads {_topics(shown.never_reads)}"] if shown.never_reads else []
    return (
        ("reads", _topics(shown.reads)),
        ("writes", _topics(shown.writes)),
        ("mints", _names(shown.mints)),
        ("opens", ", ".join(opens) or "nothing"),
        (
            "keeps",
            "rows about subjects; owes a receipt to every erasure"
            if shown.owner
            else "nothing that owes a receipt",
        ),
        ("never", "; ".join(never) or "nothing is barred"),
    )


def principals() -> tuple[str, ...]:
    """Return everyone whom the matrix names: our processes, the operator, and a partner for all of them."""
    return (*WORKERS, OPERATOR, f"partner.{ANY_PARTNER}")


def picture() -> str:
    """Return the flow of topics between principals as a Mermaid flow chart; dotted is HTTP to the keyring.

    A worker's own memory is no flow, and not drawn.
    """
    chart = ["flowchart LR", "    storefronts([storefronts]) -->|HTTP| gateway"]
    for topic in (topic for topic in ALL_TOPICS if not topic.compacted):
        for writer in _in_order(topic.writers):
            chart += [
                f"    {_node(writer)} -->|{topic.name}| {_node(reader)}"
                for reader in _in_order(topic.readers)
            ]
    for principal in _in_order(MINTS):
        chart.append(f"    {_node(principal)} -.->|mints| {_node('keyring')}")
    for principal in _in_order(OPENS):
        chart.append(
            f"    {_node(principal)} -.->|opens {_names(sorted(OPENS[principal]))}| {_node('keyring')}"
        )
    return "\n".join(chart).replace(ANY_PARTNER, "*") + "\n"


def registry_version() -> str:
    """Return the SHA-256 of the owners and the whole matrix, in hexadecimal: who was asked, of what.

    A certificate names it, so that a later owner or right cannot be made to look as if it had always been there.
    """
    text = json.dumps(_registry(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _registry() -> dict[str, object]:
    return {
        "owners": sorted(OWNERS),
        "lanes": LANES,
        "mints": {principal: sorted(categories) for principal, categories in MINTS.items()},
        "opens": {principal: dict(sorted(kinds.items())) for principal, kinds in OPENS.items()},
        "topics": {
            topic.name: {
                "events": sorted(event.type for event in topic.events),
                "writers": sorted(topic.writers),
                "readers": sorted(topic.readers),
                "keep_seconds": topic.keep.total_seconds() if topic.keep is not None else None,
                "compacted": topic.compacted,
            }
            for topic in ALL_TOPICS
        },
    }


def _in_order(some: Container[str]) -> list[str]:
    """Return principals in the order in which the matrix names them, so that nothing depends on hashing."""
    return [each for each in principals() if each in some]


def _node(principal: str) -> str:
    return principal if principal in WORKERS else "partners([partners])"


def _topics(topics: tuple[Topic, ...]) -> str:
    return ", ".join(topic.name for topic in topics) or "nothing"


def _names(names: tuple[str, ...] | list[Category]) -> str:
    return ", ".join(str(name) for name in names) or "nothing"
