"""Questions answered in JSON, each with a tag of its contents, so that who has it already is told only that."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.clicks import SEPARATOR
from schemas.statistics import Listing
from services.insights.asking import ForCounts, ForList, ForOverview, Question
from services.insights.desk import Desk
from services.insights.domain import Ranking

Headers = list[tuple[bytes, bytes]]

FRESH_SECONDS = 10.0
"""Numbers are published by the hour or day, and asked for with every page of a shop."""
AROUND_BYTES = 1_024
"""What an answer weighs beside its body: its question, its headers."""

KEPT_BY = (
    # Kept by whoever asked, and asked for again each time: mostly answered with 304.
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, sec-gpc, dnt"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A document, and the headers of both ways to give it."""

    body: bytes
    tag: bytes
    whole: Headers
    unchanged: Headers


def answer_of(content: object) -> Answer:
    """Return the document of some content."""
    body = orjson.dumps(content)
    tag = b'"' + base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:15]) + b'"'
    common = [(b"etag", tag), *KEPT_BY]
    whole = [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"), *common,
    ]  # fmt: skip
    return Answer(body, tag, whole, common)


def weigh(answer: Answer) -> int:
    """Return about how many bytes of memory an answer takes."""
    return AROUND_BYTES + len(answer.body)


class Numbers:
    """Asks the desk for what a question is about."""

    def __init__(self, desk: Desk, crowd: int) -> None:
        self._desk = desk
        self._crowd = crowd

    async def answer(self, asked: tuple[str, Question]) -> Answer:
        """Return the answer to a shop's question; raise `StoreUnavailable`."""
        storefront, question = asked
        match question:
            case ForList():
                ranking = await self._desk.ranking(storefront, question.listing, question.of)
                return answer_of(_list(question, ranking))
            case ForCounts():
                return answer_of(await self._counts(storefront, question))
            case ForOverview():
                return answer_of(await self._overview(storefront))

    async def _counts(self, storefront: str, question: ForCounts) -> dict[str, Any]:
        window = question.window or await self._latest(storefront, question)
        skip = (question.page - 1) * question.limit
        # One more than asked for tells whether there is another page.
        found = await self._desk.most(storefront, question.kind, window, question.limit + 1, skip)
        return {
            "kind": question.kind,
            "window": window or None,
            "crowd": self._crowd,
            "page": question.page,
            "more": len(found) > question.limit,
            "counts": [
                {"cell": each.cell.split(SEPARATOR), "at_least": each.at_least}
                for each in found[: question.limit]
            ],
        }

    async def _latest(self, storefront: str, question: ForCounts) -> str:
        windows = await self._desk.windows(storefront)
        return next((window for kind, window in windows if kind is question.kind), "")

    async def _overview(self, storefront: str) -> dict[str, Any]:
        kinds: dict[str, list[str]] = {}
        for kind, window in await self._desk.windows(storefront):
            kinds.setdefault(kind.value, []).append(window)
        dropped = await self._desk.dropped(storefront)
        return {
            "crowd": self._crowd,
            "kinds": dict(sorted(kinds.items())),
            "dropped": [{"day": each.day, "at_least": each.at_least} for each in dropped],
        }


def _list(question: ForList, ranking: Ranking | None) -> dict[str, Any]:
    name = "term" if question.listing is Listing.TRENDING else "item"
    items = ranking.items[: question.limit] if ranking else ()
    return {
        "listing": question.listing,
        "of": question.of or None,
        "through": ranking.through if ranking else None,
        "items": [{name: cell, "score": score} for cell, score in items],
    }
