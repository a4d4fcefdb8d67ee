"""Who gets which lanes: whole ones, the same whoever leads the group, and while a deploy adds a topic."""

import itertools
from types import SimpleNamespace

import pytest

from services.kernel.broker.assignor import LaneAssignor

TOPICS = {"orders": 12, "deliveries": 12, "commands": 12, "new": 12, "small": 4}
OLD = ("orders", "deliveries", "commands")
CLUSTER = SimpleNamespace(partitions_for_topic=lambda topic: set(range(TOPICS[topic])))
Shares = dict[str, dict[str, list[int]]]


def shares(*members: tuple[str, str, tuple[str, ...]]) -> Shares:
    """Return instance to topic to partitions, for members named by their id, instance and topics."""
    joined = {id_: LaneAssignor.named(instance).metadata(topics) for id_, instance, topics in members}
    answer = LaneAssignor.assign(CLUSTER, joined)
    return {instance: dict(answer[id_].assignment) for id_, instance, _ in members}


@pytest.mark.parametrize("more", [("new",), ("small",), ("new", "small")], ids="+".join)
def test_members_that_subscribe_differently_split_no_lane(more: tuple[str, ...]) -> None:
    """A rolling deploy: one instance is of the next version, the others are not yet."""
    found = shares(("m1", "orders-1", OLD), ("m2", "orders-2", (*OLD, *more)), ("m3", "orders-3", OLD))
    lanes = {instance: set(by_topic["orders"]) for instance, by_topic in found.items()}
    assert sorted(itertools.chain(*lanes.values())) == list(range(12))
    for instance, by_topic in found.items():
        for topic, numbers in by_topic.items():
            assert set(numbers) == lanes[instance] & set(range(TOPICS[topic])), (instance, topic)
    assert set(found["orders-1"]) == set(OLD), "nobody is given what it does not read"
    assert set(found["orders-2"]) == {*OLD, *more}


def test_who_comes_with_a_new_topic_moves_no_lane_of_the_others() -> None:
    before = shares(("m1", "orders-1", OLD), ("m2", "orders-2", OLD))
    after = shares(("m1", "orders-1", OLD), ("m2", "orders-2", (*OLD, "new")))
    assert after["orders-1"] == before["orders-1"]
    assert after["orders-2"] == before["orders-2"] | {"new": before["orders-2"]["orders"]}


def test_shares_follow_the_instances_names_whoever_they_are_in_the_group() -> None:
    """A member's id is another one each time it joins; its lanes stay, and with them its caches and producers."""
    seen = [
        shares(*((id_, f"orders-{number}", OLD) for number, id_ in enumerate(ids, 1)))
        for ids in itertools.permutations(("m1", "m2", "m3"))
    ]
    assert all(each == seen[0] for each in seen)
