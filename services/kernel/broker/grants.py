"""Who may do what on a broker, and how long a topic keeps: derived from the access matrix, without a broker."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from schemas.topics import OPERATOR, TOPICS, WORKERS, Topic

PRINCIPALS = (*WORKERS, OPERATOR)
PARTNER_PREFIX = "partner."


@dataclass(frozen=True, order=True)
class Grant:
    """One right: a principal may do an operation on a resource, or on all whose names start with its name."""

    principal: str
    operation: str
    resource: str
    name: str
    prefixed: bool = False

    def __str__(self) -> str:
        return f"{self.principal}: {self.operation} {self.resource} {self.name}{'*' if self.prefixed else ''}"


def grants_for(topics: Iterable[Topic] = TOPICS, principals: Iterable[str] = PRINCIPALS) -> set[Grant]:
    """Return every right that these principals have, as far as these topics go."""
    wanted = {grant for principal in principals for grant in own_grants(principal)}
    for topic in topics:
        wanted |= {Grant(each, "READ", "TOPIC", topic.name) for each in topic.readers}
        wanted |= {Grant(each, "WRITE", "TOPIC", topic.name) for each in topic.writers}
        if topic.name.startswith(PARTNER_PREFIX):
            # After a restore a worker looks up what it has told a partner already.
            wanted |= {Grant(each, "READ", "TOPIC", topic.name) for each in topic.writers & set(WORKERS)}
    return wanted


def own_grants(principal: str) -> set[Grant]:
    """Return what a principal may do whatever it reads: use its own groups, and if a worker, its own transactions."""
    if principal == OPERATOR:
        return {
            Grant(OPERATOR, "READ", "TOPIC", "*"),
            Grant(OPERATOR, "DESCRIBE_CONFIGS", "TOPIC", "*"),
            Grant(OPERATOR, "DESCRIBE", "GROUP", "*"),
            Grant(OPERATOR, "READ", "GROUP", OPERATOR),
            Grant(OPERATOR, "READ", "GROUP", f"{OPERATOR}.", prefixed=True),
        }
    # The dot ends the name: no principal's prefix is the beginning of another's.
    grants = {
        Grant(principal, "READ", "GROUP", principal),
        Grant(principal, "READ", "GROUP", f"{principal}.", True),
    }
    if not principal.startswith(PARTNER_PREFIX):
        grants.add(Grant(principal, "WRITE", "TRANSACTIONAL_ID", f"{principal}.", prefixed=True))
    return grants


def config_of(topic: Topic) -> dict[str, str]:
    """Return a topic's settings: how long it keeps, and segments short enough that it does not keep much longer."""
    config = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    if topic.hourly_time:
        config["message.timestamp.type"] = "CreateTime"
    if topic.compacted:
        # The newest segment is never compacted: a day bounds how long what was dropped stays in it.
        config |= {"cleanup.policy": "compact", "segment.ms": _milliseconds(timedelta(days=1))}
    if topic.keep is not None:
        segment = topic.keep / 10 if topic.subject_keyed else timedelta(hours=1)
        config |= {"retention.ms": _milliseconds(topic.keep), "segment.ms": _milliseconds(segment)}
    return config


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
