"""Who was to be asked: the owner registry and the access matrix as one version. Pure."""

import hashlib
import json

from schemas import topics


def registry_version() -> str:
    """Return the SHA-256 over owners and access matrix: who was to be asked, and who could have held anything."""
    matrix = [
        (
            topic.name,
            sorted(event.type for event in topic.events),
            sorted(topic.writers),
            sorted(topic.readers),
        )
        for topic in topics.TOPICS
    ]
    opens = {principal: sorted(categories) for principal, categories in topics.OPENS.items()}
    text = json.dumps([topics.OWNERS, matrix, opens], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
