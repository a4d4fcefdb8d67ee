"""The access matrix is whole and says one thing; what is derived from it says the same."""

import ast
import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas import matrix, topics
from schemas.matrix import ALL_TOPICS, card, lines, picture, principals, registry_version
from schemas.orders import Basket, OrderPlaced
from schemas.privacy import Category
from schemas.strict_json import violation
from schemas.topics import MINTS, OPENS, OWNERS, TOPICS, WORKERS, for_carrier

SERVICES = Path(__file__).resolve().parents[2] / "services"
FOLDERS = {
    "gateway": "gateway",
    "orders": "orders",
    "dispatch": "carriers",
    "erasure": "erasure",
    "keyring": "keyring",
    "insights": "insights",
    "recommendations": "recommendations",
}
EVENTS = [event for topic in ALL_TOPICS for event in topic.events]

# --- topics ---


def test_every_event_type_names_one_event_on_one_topic():
    """Dead letters, suppression and the AsyncAPI document go by the type alone."""
    types = [event.type for event in EVENTS]
    assert len(types) == len(set(types)) and len(EVENTS) == len(set(EVENTS))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_type_has_a_versioned_name_and_the_event_a_meaning(event):
    """`lethe.<what>.<happened>.v<n>`, and a docstring that the published contract repeats."""
    assert re.fullmatch(r"lethe\.[a-z]+\.[a-z-]+\.v[1-9]\d*", event.type)
    assert event.__doc__ and event.__doc__.strip().endswith(".")
    assert event.model_json_schema()


def test_a_topic_finds_its_events_by_type():
    """And no other's."""
    assert topics.ORDERS.by_type["lethe.order.placed.v1"] is OrderPlaced
    assert topics.HOLDS.by_type.get("lethe.order.placed.v1") is None
    assert all(set(topic.by_type.values()) == set(topic.events) for topic in ALL_TOPICS)


def test_every_topic_is_written_and_read_by_someone_known():
    """No orphan, no stranger, and never two workers of the same intake topic (only the gateway writes those)."""
    assert len({topic.name for topic in ALL_TOPICS}) == len(ALL_TOPICS)
    for topic in ALL_TOPICS:
        assert topic.writers and topic.readers and topic.writers | topic.readers <= set(principals())
        assert "operator" not in topic.writers
    assert topics.ORDERS.writers == topics.REQUESTS.writers == {"gateway"}


def test_data_topics_keep_thirty_days_at_most_and_the_ledger_for_ever():
    """What cannot be taken back from a log ages out of it; the erasures themselves are never forgotten."""
    forever = {topic.name for topic in ALL_TOPICS if topic.keep is None and not topic.compacted}
    assert forever == {"holds", "erasure.commands", "certificates"}
    assert all(not event.personal_fields() for t in ALL_TOPICS if t.name in forever for event in t.events)
    assert all(topic.keep.days <= 30 for topic in ALL_TOPICS if topic.keep)


def test_subject_keyed_topics_share_the_number_of_lanes():
    """A subject's events and its erasure fall into lanes of one number."""
    assert all(topic.partitions == topics.LANES for topic in TOPICS)
    apart = {"clicks", "statistics", "recommendations", "recommendations-rows-changelog"}
    assert {topic.name for topic in TOPICS if not topic.subject_keyed} == apart


def test_a_compacted_topic_is_one_workers_own_memory():
    """What no time takes out of a log is written and read by one worker, and is no event that others could want."""
    for topic in (topic for topic in ALL_TOPICS if topic.compacted):
        assert topic.writers == topic.readers and len(topic.writers) == 1
        assert topic.events == () and not topic.subject_keyed and topic.name.startswith(min(topic.writers))


def test_a_partner_has_two_topics_and_sees_neither_subject_nor_order():
    """D2: two partners cannot join their records by an id of ours."""
    out, updates = for_carrier("acme")
    assert out.readers == updates.writers == {"partner.acme"} and out.writers == updates.readers == {
        "carriers"
    }
    fields = {name for topic in (out, updates) for event in topic.events for name in event.model_fields}
    assert not fields & {"subject", "order", "scope"} and "reference" in fields
    assert out.keep is not None and out.keep.total_seconds() == 72 * 3600


def test_nobody_who_mints_opens_and_each_opens_for_a_purpose():
    """U1: the edge writes what it can never read back."""
    assert not MINTS.keys() & OPENS.keys()
    assert MINTS.keys() | OPENS.keys() <= set(WORKERS)
    sealed = {kind.category for event in EVENTS for kind in event.personal_fields().values()}
    assert set().union(*MINTS.values()) == sealed
    purposes = {(k.category, k.purpose) for event in EVENTS for k in event.personal_fields().values()}
    assert {pair for kinds in OPENS.values() for pair in kinds.items()} <= purposes


def test_every_owner_hears_commands_and_answers():
    """R3: an owner that could not be asked would be missing from every certificate."""
    assert set(OWNERS) <= topics.COMMANDS.readers and {*OWNERS, "keyring"} == topics.RECEIPTS.writers


# --- cards, picture, version ---


def test_the_picture_is_the_matrix():
    """Each writer is drawn to each reader, over each topic, once; what only one worker has is no flow."""
    drawn = re.findall(r"(\w+)(?:\(\[\w+\]\))? -->\|([\w.*]+)\| (\w+)", picture())
    expected = {
        (_drawn(writer), topic.name.replace("{partner}", "*"), _drawn(reader))
        for topic in ALL_TOPICS
        if not topic.compacted
        for writer in topic.writers
        for reader in topic.readers
    } | {("storefronts", "HTTP", "gateway")}
    assert set(drawn) == expected and len(drawn) == len(expected)
    assert (
        "gateway -.->|mints| keyring" in picture() and "carriers -.->|opens logistics| keyring" in picture()
    )


def _drawn(principal: str) -> str:
    return principal if principal in WORKERS else "partners"


@pytest.mark.parametrize("principal", principals())
def test_a_card_says_all_that_a_principal_may_and_never_may(principal):
    """What is not on the one side is on the other."""
    shown = card(principal)
    assert set(shown.reads).isdisjoint(shown.never_reads) and {*shown.reads, *shown.never_reads} == set(
        ALL_TOPICS
    )
    assert {category for category, _ in shown.opens} | set(shown.never_opens) == set(Category)
    assert [heading for heading, _ in lines(shown)] == ["reads", "writes", "mints", "opens", "keeps", "never"]
    assert all(text for _, text in lines(shown))


def test_cards_of_those_who_matter_most():
    """C2, U1, D2, spelled out."""
    assert dict(lines(card("gateway")))["opens"] == "nothing"
    assert dict(lines(card("carriers")))["opens"] == "logistics for delivery"
    assert dict(lines(card("operator")))["writes"] == "nothing"
    assert dict(lines(card("partner.{partner}")))["reads"] == "partner.{partner}.shipments"
    with pytest.raises(KeyError):
        card("marketing")


def test_the_registry_version_changes_with_every_right_and_owner(monkeypatch):
    """A certificate's version vouches for who was asked and who could have read."""
    before = registry_version()
    assert re.fullmatch(r"[0-9a-f]{64}", before) and before == registry_version()
    monkeypatch.setattr(matrix, "OWNERS", (*OWNERS, "support"))
    owner_added = registry_version()
    monkeypatch.setattr(matrix, "OPENS", {**OPENS, "orders": {}})
    assert len({before, owner_added, registry_version()}) == 3


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_worker_says_of_itself_what_the_matrix_says_of_it(folder):
    """The docstring of a worker's folder names its topics; it cannot drift from its rights."""
    path = SERVICES / folder / "__init__.py"
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    reads, writes = _named(said, "Reads"), _named(said, "Writes")
    shown = card(FOLDERS[folder])
    assert reads == {topic.name.replace("{partner}", "*") for topic in shown.reads}
    assert writes == {topic.name.replace("{partner}", "*") for topic in shown.writes}


def _named(docstring: str, heading: str) -> set[str]:
    """Return the topics that follow a heading, up to the next heading."""
    known = {topic.name.replace("{partner}", "*") for topic in ALL_TOPICS}
    text = re.split(r"\b(?:Reads|Writes|Keeps|Opens|Sees|Serves|Never)\b", docstring.partition(heading)[2])[0]
    return {word for word in re.findall(r"[\w.*-]+", text) if word in known}


# --- events ---

BASKET = {
    "number": "536365",
    "placed_at": "2026-11-23T08:26:00Z",
    "currency": "GBP",
    "exponent": 2,
    "lines": [{"sku": "85123A", "name": "T-LIGHT HOLDER", "quantity": 6, "unit_price_minor": 255}],
    "shipping_minor": 500,
    "tax_minor": 100,
    "discount_minor": 30,
    "total_minor": 2100,
}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"total_minor": 2101}, ("total-wrong", "")),
        ({"discount_minor": 0}, ("total-wrong", "")),
        ({"currency": "XXX"}, ("currency-unknown", "")),
        ({"currency": "JPY"}, ("exponent-wrong", "")),
        ({"exponent": 3}, ("exponent-wrong", "")),
        ({"total_minor": -1}, ("greater-than-equal", "total_minor")),
        ({"total_minor": 2**53}, ("less-than", "total_minor")),
        ({"total_minor": 21.0}, ("int-type", "total_minor")),
        ({"total_minor": "2100"}, ("int-type", "total_minor")),
        ({"placed_at": "2026-11-23T08:26:00"}, ("timezone-aware", "placed_at")),
        ({"lines": []}, ("too-short", "lines")),
        ({"lines": [{**BASKET["lines"][0], "quantity": 0}]}, ("greater-than-equal", "lines.*.quantity")),
        ({"lines": [{**BASKET["lines"][0], "engraving": "Zoë"}]}, ("extra-forbidden", "lines.*.?")),
    ],
)
def test_a_basket_adds_up_in_its_own_currency(change, refusal):
    """The edge verifies sums and exponents, and says which rule broke."""
    Basket.model_validate_json(json.dumps(BASKET))
    with pytest.raises(ValidationError) as caught:
        Basket.model_validate_json(json.dumps(BASKET | change))
    assert violation(caught.value, Basket) == refusal


def test_the_largest_basket_of_a_real_shop_fits():
    """675 lines (the largest order in five days of a real shop) and more."""
    line = BASKET["lines"][0]
    many = BASKET | {"lines": [line] * 2_000, "total_minor": 2_000 * 1530 + 570}
    assert len(Basket.model_validate_json(json.dumps(many)).lines) == 2_000
