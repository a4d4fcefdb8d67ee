"""The AsyncAPI 3 document of the whole platform: one channel per topic, one operation per right to it."""

from datetime import timedelta
from typing import Any

from schemas.ids import NAME_FORM, RANDOM_ID, UUID_FORM
from schemas.matrix import ALL_TOPICS, ANY_PARTNER, principals
from schemas.privacy import Event
from schemas.publish.json_schemas import components, events
from schemas.topics import Topic

Json = dict[str, Any]

BINDING = "0.5.0"
"""Version of the AsyncAPI Kafka bindings."""
_HOUR = r"^\d{4}-\d\d-\d\dT\d\d:00:00Z$"


def document() -> Json:
    """Return the AsyncAPI document, ready to be written as JSON."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lethe",
            "version": "1.0.0",
            "description": (
                "An order pipeline in which a person can be forgotten. `x-privacy` says of every field either its "
                "category, purpose and retention, then it travels sealed, or why it may be read in clear."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {_channel_id(topic): _channel(topic) for topic in ALL_TOPICS},
        "operations": {name: operation for topic in ALL_TOPICS for name, operation in _operations(topic)},
        "components": {
            "messages": {event.__name__: _message(event) for event in events()},
            "messageTraits": {"envelope": _envelope()},
            "schemas": components(event for event in events() if not event.valueless),
            "securitySchemes": {"scram": {"type": "scramSha512"}},
        },
    }


def _server() -> Json:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka-secure",
        "description": "Every principal logs in as itself and may do what its operations say, nothing else.",
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
        "variables": {"bootstrap": {"default": "localhost:9092", "description": "host:port of a broker"}},
    }


def _channel_id(topic: Topic) -> str:
    return topic.name.replace(ANY_PARTNER, "any").replace(".", "-")


def _channel(topic: Topic) -> Json:
    """Return one topic: whose name holds a partner's id has it as a parameter, and no name of its own to bind."""
    binding: Json = {"partitions": topic.partitions, "topicConfiguration": _kept(topic)}
    channel: Json = {
        "address": topic.name,
        "description": _keyed(topic),
        "messages": {event.__name__: _ref("messages", event.__name__) for event in topic.events},
        "bindings": {"kafka": {**binding, "bindingVersion": BINDING}},
    }
    if ANY_PARTNER in topic.name:
        channel["parameters"] = {ANY_PARTNER.strip("{}"): {"description": f"id of the partner, {NAME_FORM}"}}
    return channel


def _keyed(topic: Topic) -> str:
    if topic.compacted:
        return "Keyed by a row of the worker's own memory; the last record of each key is kept."
    key = "the subject's id" if topic.subject_keyed else "the partner's reference of a parcel"
    if is_of_shops(topic):
        key = "the shop's name"
    kept = f"kept {topic.keep // timedelta(hours=1)} hours" if topic.keep is not None else "kept for ever"
    return f"Keyed by {key}; {kept}."


def is_of_shops(topic: Topic) -> bool:
    """Whether records are about a whole shop: about nobody, of no partner."""
    return not topic.subject_keyed and ANY_PARTNER not in topic.name


def _kept(topic: Topic) -> Json:
    milliseconds = topic.keep // timedelta(milliseconds=1) if topic.keep is not None else -1
    return {"cleanup.policy": ["compact" if topic.compacted else "delete"], "retention.ms": milliseconds}


def _operations(topic: Topic) -> list[tuple[str, Json]]:
    """Return an operation for each writer and each reader, seen from that principal."""
    found = []
    for principal in principals():
        for action, allowed in (("send", topic.writers), ("receive", topic.readers)):
            if principal in allowed:
                whose = principal.replace(ANY_PARTNER, "any").replace(".", "-")
                name = f"{whose}-{action}-{_channel_id(topic)}"
                found.append((name, _operation(topic, action, principal)))
    return found


def _operation(topic: Topic, action: str, principal: str) -> Json:
    operation: Json = {"action": action, "channel": {"$ref": f"#/channels/{_channel_id(topic)}"}}
    if action == "receive":
        # A principal may use the group of its own name, and those that begin with it and a dot.
        own = principal.replace(".", r"\.").replace(ANY_PARTNER, NAME_FORM.strip("^$"))
        group = {"type": "string", "pattern": rf"^{own}(\..+)?$"}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    return {**operation, "x-principal": principal}


def _message(event: type[Event]) -> Json:
    own: Json = {"ce_type": {"const": event.type}}
    own |= {
        f"ce_{name}": {"type": "string", "enum": [word.value for word in kind]}
        for name, kind in event.extensions.items()
    }
    message: Json = {
        "name": event.type,
        "summary": (event.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "headers": {"type": "object", "properties": own},
        "traits": [_ref("messageTraits", "envelope")],
        "bindings": {
            "kafka": {"key": {"type": "string", "pattern": _key_form(event)}, "bindingVersion": BINDING}
        },
        "x-suppressible": event.suppressible,
    }
    if event.scope_field:
        message["x-scope"] = event.scope_field
    if not event.valueless:
        message["payload"] = _ref("schemas", event.__name__)
    return message


def _key_form(event: type[Event]) -> str:
    about_shops = any(event in topic.events for topic in ALL_TOPICS if is_of_shops(topic))
    return NAME_FORM if about_shops else RANDOM_ID


def _envelope() -> Json:
    """Return what every record says in its headers: CloudEvents 1.0, Kafka binding, binary mode."""
    text = {"type": "string", "minLength": 1, "maxLength": 256}
    headers = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "pattern": UUID_FORM},
        "ce_type": text,
        "ce_source": text,
        "ce_time": {"type": "string", "pattern": _HOUR, "description": "the hour; exact times travel sealed"},
        "ce_subject": {"type": "string", "pattern": RANDOM_ID, "description": "never on a partner's topic"},
        "ce_policyversion": {**text, "description": "version of the privacy policy in force"},
        "content-type": {"const": "application/json"},
        "traceparent": text,
    }
    required = ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"]
    return {"headers": {"type": "object", "properties": headers, "required": required}}


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
