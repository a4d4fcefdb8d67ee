"""Topics, users and access rights on a broker, derived from the access matrix and brought in line with it.

The only place that administers Kafka. What is not declared is never deleted, except rights of our own principals:
a right that the matrix does not give is taken away.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from schemas.topics import TOPICS, Topic
from services.kernel.broker.grants import PARTNER_PREFIX, PRINCIPALS, Grant, config_of, grants_for
from services.kernel.errors import BrokerUnavailable, ConfigurationError

DEADLINE_SECONDS = 20
SEEN_SECONDS = 90
"""How long a change that is made may take to be heard of: longer than any busy machine needs."""
SCRAM_ROUNDS = 4096
_ANY: Any = None
_EVERYTHING = AclBindingFilter(
    ResourceType.ANY, _ANY, ResourcePatternType.ANY, _ANY, _ANY, AclOperation.ANY, AclPermissionType.ANY
)


@dataclass(frozen=True)
class Plan:
    """What has to change on a broker; `refused` is what no change can mend."""

    create: tuple[Topic, ...] = ()
    configure: tuple[tuple[str, Mapping[str, str]], ...] = ()
    grant: tuple[Grant, ...] = ()
    revoke: tuple[Grant, ...] = ()
    users: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.create, self.configure, self.grant, self.revoke, self.users, self.refused))

    def lines(self) -> tuple[str, ...]:
        """Return the changes as lines of text, in the order in which they are made."""
        return (
            *(f"refused: {each}" for each in self.refused),
            *(f"create user {each}" for each in self.users),
            *(f"create topic {each.name} ({each.partitions} partitions)" for each in self.create),
            *(
                f"set {name} {key}={value}"
                for name, config in self.configure
                for key, value in config.items()
            ),
            *(f"grant {each}" for each in self.grant),
            *(f"revoke {each}" for each in self.revoke),
        )


class BrokerAdmin:
    """A connection with the admin's rights. Raises `BrokerUnavailable` where the broker does not answer."""

    def __init__(
        self, client_settings: Mapping[str, str], patience_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._client = AdminClient({**client_settings, "log_level": 0})
        self._patience_seconds = patience_seconds

    def plan(self, topics: Iterable[Topic] = TOPICS, principals: Iterable[str] = PRINCIPALS) -> Plan:
        """Return what differs between the access matrix and the broker."""
        declared, people = tuple(topics), tuple(principals)
        existing, users = self.partitions(), self.users()
        present = [topic for topic in declared if topic.name in existing]
        wanted, actual = grants_for(declared, people), self.grants()
        names = {topic.name for topic in declared}
        return Plan(
            create=tuple(topic for topic in declared if topic.name not in existing),
            configure=tuple(self._differing_configs(present)),
            grant=tuple(sorted(wanted - actual)),
            revoke=tuple(sorted(each for each in actual - wanted if _is_ours(each, people, names))),
            users=tuple(each for each in people if each not in users),
            refused=tuple(
                f"{topic.name} has {existing[topic.name]} partitions, declared are {topic.partitions}"
                for topic in present
                if existing[topic.name] != topic.partitions
            ),
        )

    def apply(self, plan: Plan, passwords: Mapping[str, str], replication: int = 1) -> None:
        """Make a plan's changes; raise `ConfigurationError` before any of them if something is refused.

        `passwords` holds one for each user of the plan.
        """
        if plan.refused:
            raise ConfigurationError("topics-differ", count=len(plan.refused))
        self.set_passwords({user: passwords[user] for user in plan.users})
        self.create(plan.create, replication)
        self.configure(dict(plan.configure))
        self.grant(plan.grant)
        self.remove_grants(plan.revoke)

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions of every topic, internal ones left out."""
        try:
            topics = self._client.list_topics(timeout=self._patience_seconds).topics
        except KafkaException as error:
            raise _translated(error) from None
        return {name: len(each.partitions) for name, each in topics.items() if not name.startswith("__")}

    def create(self, topics: Iterable[Topic], replication: int = 1) -> None:
        """Create topics and wait until they can be used; one that is there already is left as it is."""
        new = [NewTopic(each.name, each.partitions, replication, config=config_of(each)) for each in topics]
        if new:
            _await(self._client.create_topics(new), but=KafkaError.TOPIC_ALREADY_EXISTS)
            _until(lambda: {each.topic for each in new} <= self._led())

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics with all their records."""
        if listed := list(names):
            _await(self._client.delete_topics(listed), but=KafkaError.UNKNOWN_TOPIC_OR_PART)

    def grants(self) -> set[Grant]:
        """Return every right that the broker allows, of whatever principal."""
        return {_grant(each) for each in _result(self._client.describe_acls(_EVERYTHING))}

    def grant(self, grants: Iterable[Grant]) -> None:
        """Give rights and wait until they count; one that is given already changes nothing."""
        wanted = set(grants)
        if wanted:
            _await(self._client.create_acls([_binding(each) for each in wanted]))
            _until(lambda: wanted <= self.grants())

    def remove_grants(self, grants: Iterable[Grant]) -> None:
        """Take rights away and wait until they count no more; one that is not given changes nothing."""
        unwanted = set(grants)
        if unwanted:
            _await(self._client.delete_acls([_filter(each) for each in unwanted]))
            _until(lambda: not unwanted & self.grants())

    def users(self) -> set[str]:
        """Return the names of all users who can log in by SCRAM."""
        everybody: Any = self._client.describe_user_scram_credentials()
        return set(_result(everybody))

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Create users, or give them new passwords."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ROUNDS)
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, info, password.encode())
            for user, password in passwords.items()
        ]
        if changes:
            _await(self._client.alter_user_scram_credentials(changes))
            _until(lambda: set(passwords) <= self.users())

    def remove_principal(self, principal: str) -> None:
        """Take all rights and the password of a principal: it can neither do anything nor log in again."""
        self.remove_grants(each for each in self.grants() if each.principal == principal)
        if principal in self.users():
            deletion = UserScramCredentialDeletion(principal, ScramMechanism.SCRAM_SHA_512)
            _await(self._client.alter_user_scram_credentials([deletion]))

    def _led(self) -> set[str]:
        """Return the topics of which every partition has a leader."""
        topics = self._client.list_topics(timeout=DEADLINE_SECONDS).topics
        return {name for name, each in topics.items() if all(p.leader >= 0 for p in each.partitions.values())}

    def _differing_configs(self, topics: Iterable[Topic]) -> Iterable[tuple[str, dict[str, str]]]:
        declared = {topic.name: config_of(topic) for topic in topics}
        if not declared:
            return
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in declared]
        for resource, future in self._client.describe_configs(asked).items():
            actual = {name: entry.value for name, entry in _result(future).items()}
            wanted = declared[resource.name]
            if differing := {name: value for name, value in wanted.items() if actual.get(name) != value}:
                yield resource.name, differing

    def configure(self, configs: Mapping[str, Mapping[str, str]]) -> None:
        """Set settings of topics; those that are not named stay as they are."""
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in config.items()
                ],
            )
            for name, config in configs.items()
        ]
        if resources:
            _await(self._client.incremental_alter_configs(resources))


def _is_ours(grant: Grant, principals: tuple[str, ...], topics: set[str]) -> bool:
    """Whether a right that is not wanted may be taken away: not a partner's topic that this plan does not cover."""
    covered = grant.name in topics or not grant.name.startswith(PARTNER_PREFIX)
    return grant.principal in principals and covered


def _binding(grant: Grant) -> AclBinding:
    return AclBinding(*_parts(grant))


def _filter(grant: Grant) -> AclBindingFilter:
    return AclBindingFilter(*_parts(grant))


def _parts(grant: Grant) -> tuple[Any, ...]:
    pattern = ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL
    resource, operation = ResourceType[grant.resource], AclOperation[grant.operation]
    return resource, grant.name, pattern, f"User:{grant.principal}", "*", operation, AclPermissionType.ALLOW


def _grant(binding: Any) -> Grant:
    return Grant(
        binding.principal.removeprefix("User:"),
        binding.operation.name,
        binding.restype.name,
        binding.name,
        binding.resource_pattern_type == ResourcePatternType.PREFIXED,
    )


def _until(seen: Callable[[], bool]) -> None:
    """Wait until the broker has heard of a change that its controller has already recorded."""
    until = time.monotonic() + SEEN_SECONDS
    while not seen():
        if time.monotonic() > until:
            raise BrokerUnavailable("broker", error="change not seen")
        time.sleep(0.02)


def _await(futures: Mapping[Any, "Future[Any]"], but: int | None = None) -> None:
    """Wait for all of several answers; an error with the code `but` counts as done."""
    for future in futures.values():
        try:
            future.result(DEADLINE_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != but:
                raise _translated(error) from None


def _result(future: "Future[Any]") -> Any:
    try:
        return future.result(DEADLINE_SECONDS)
    except KafkaException as error:
        raise _translated(error) from None


def _translated(error: KafkaException) -> BrokerUnavailable | ConfigurationError:
    cause: KafkaError = error.args[0]
    if cause.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
        return ConfigurationError("broker-refused", error=cause.name())
    return BrokerUnavailable("broker", error=cause.name())
