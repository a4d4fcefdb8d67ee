"""Keeps lanes whole: partition n of every topic goes to one member, also while a deploy adds a topic.

Range splits lanes as soon as members subscribe to different topics (7 of 10 in a rolling deploy);
sorting lanes and members, and ignoring who subscribes to what, splits none.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

_VERSION = 0


def lanes_to_members(lanes: Iterable[int], members: Mapping[str, str]) -> dict[str, list[int]]:
    """Return member id to lanes; `members` maps member ids to stable instance names, which decide the order."""
    order = sorted(members, key=lambda member: (members[member], member))
    shares: dict[str, list[int]] = {member: [] for member in order}
    for index, lane in enumerate(sorted(lanes)):
        shares[order[index % len(order)]].append(lane)
    return shares


class LaneAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """The client-side assignor of every group that works on lanes; made per instance by `named`."""

    instance = b""

    @classmethod
    def named(cls, instance: str) -> type["LaneAssignor"]:
        """Return an assignor that tells the group's leader this stable instance name."""
        return type("LaneAssignor", (cls,), {"instance": instance.encode()})

    # aiokafka makes no instance of a strategy: it reads the name from the class.
    name = "lethe-lanes"

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        partitions = {
            topic: cluster.partitions_for_topic(topic) or set()
            for metadata in members.values()
            for topic in metadata.subscription
        }
        lanes = {number for numbers in partitions.values() for number in numbers}
        names = {member: bytes(metadata.user_data or b"").decode() for member, metadata in members.items()}
        answer = {}
        for member, share in lanes_to_members(lanes, names).items():
            topics: dict[str, list[int]] = defaultdict(list)
            for topic in members[member].subscription:
                topics[topic] = [lane for lane in share if lane in partitions[topic]]
            answer[member] = ConsumerProtocolMemberAssignment(_VERSION, sorted(topics.items()), b"")
        return answer

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(_VERSION, sorted(topics), cls.instance)

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing to remember: the order is stable by itself."""
