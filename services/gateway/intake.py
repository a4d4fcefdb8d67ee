"""From a plain event to a sealed record that Kafka has acknowledged: the gateway's main path."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from schemas.envelope import Envelope, to_the_hour
from schemas.privacy import Category
from services.gateway.behind import Behind
from services.gateway.refusals import Code, Reason
from services.gateway.submission import Form, Submission
from services.kernel.broker.interface import Message
from services.kernel.clock import Clock
from services.kernel.failpoints import Step, step
from services.kernel.sealing.interface import Refused, SubjectState
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey, KeyRef
from services.kernel.sealing.place import Place

Keys = dict[Category, DataKey]

_REFUSED: dict[Any, Reason] = {
    Refused.SUBJECT_ERASED: Reason(Code.SUBJECT_ERASED, "subject"),
    Refused.SUBJECT_FOREIGN: Reason(Code.SUBJECT_FOREIGN, "subject"),
    SubjectState.ERASED: Reason(Code.SUBJECT_ERASED, "subject"),
    SubjectState.FOREIGN: Reason(Code.SUBJECT_FOREIGN, "subject"),
}


class Intake:
    """Seals what storefronts submit. Holds nothing between two calls."""

    def __init__(self, behind: Behind, clock: Clock, policy: str) -> None:
        self._behind = behind
        self._clock = clock
        self._policy = policy

    async def take(
        self, storefront: str, submissions: Sequence[Submission], traceparent: str | None = None
    ) -> list[Reason | None]:
        """Return, in order, None for each event that Kafka now has, else why it is refused.

        Raises `Refusal` when keys or Kafka are away: then nothing is acknowledged, and a repeat is safe.
        """
        answers = await self._keys(storefront, submissions)
        messages = [
            self._message(storefront, submission, answer, traceparent)
            for submission, answer in zip(submissions, answers, strict=True)
            if not isinstance(answer, Reason)
        ]
        if messages:
            with step(Step.PRODUCE):
                await self._behind.send(messages)
        return [answer if isinstance(answer, Reason) else None for answer in answers]

    async def _keys(self, storefront: str, submissions: Sequence[Submission]) -> list[Keys | Reason]:
        """Ask once for everything that these events need; who needs no key still asks how its subject stands."""
        refs: list[KeyRef] = []
        subjects: list[str] = []
        for each in submissions:
            if each.form.categories:
                refs += [KeyRef(each.subject, category, each.scope) for category in each.form.categories]
            else:
                subjects.append(each.subject)
        with step(Step.KEYS):
            minted = await self._behind.mint(storefront, refs, subjects)
        keys, states = iter(minted.keys), iter(minted.subjects)
        return [_answer(each.form, keys, states) for each in submissions]

    def _message(
        self, storefront: str, submission: Submission, keys: Keys, traceparent: str | None
    ) -> Message:
        form, key = submission.form, submission.subject.encode()
        hour = submission.hour or to_the_hour(self._clock.now())
        headers = [("ce_id", submission.id.encode()), ("ce_subject", key)]
        headers += _same_headers(form.event.type, f"/storefronts/{storefront}", hour, self._policy)
        if traceparent is not None:
            headers.append(("traceparent", traceparent.encode()))
        return Message(form.topic, key, _value(submission, keys), headers)


@lru_cache(maxsize=1_000)
def _same_headers(event_type: str, source: str, hour: datetime, policy: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that every event of a type, a storefront and an hour has: all but id, subject and trace."""
    envelope = Envelope(id="-", type=event_type, source=source, time=hour, policy=policy)
    return tuple(header for header in envelope.headers() if header[0] != "ce_id")


def _answer(form: Form, keys: Iterator[DataKey | Refused], states: Iterator[SubjectState]) -> Keys | Reason:
    """Return the event's keys, or the first reason why it gets none."""
    if not form.categories:
        return _REFUSED.get(next(states), {})
    answers = {category: next(keys) for category in form.categories}
    refused = [answer for answer in answers.values() if isinstance(answer, Refused)]
    if refused:
        return _REFUSED[refused[0]]
    return {category: key for category, key in answers.items() if isinstance(key, DataKey)}


def _value(submission: Submission, keys: Keys) -> bytes:
    """Return the value of the record: clear fields as they are, every personal one sealed for its place."""
    form, plain = submission.form, submission.plain
    content = {name: getattr(plain, name) for name in form.clear}
    for name, category in form.sealed.items():
        value = getattr(plain, name)
        where = Place(f"{form.event.collection}/{submission.scope}/{name}")
        text = value.__pydantic_serializer__.to_json(value, exclude_none=True)
        content[name] = seal(keys[category], where, text)
    return orjson.dumps(content)
