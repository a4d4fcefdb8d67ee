"""How a wish to be forgotten is taken in, and what is told about it."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.envelope import Envelope
from schemas.erasure import (
    CertificateIssued,
    Destroy,
    ErasureRequested,
    Held,
    RequestProgressed,
    RequestState,
)
from schemas.holds import Ground
from schemas.ids import RequestId
from schemas.privacy import Category
from services.gateway.domain import RECEIVED, decide
from services.kernel.broker.interface import Message, Record
from services.kernel.decision import Decision, Given
from services.kernel.ids import derived_id, random_id
from services.kernel.worker.worker import Received
from tests.unit.gateway_room import OTHER_TOKEN, Room, headers_of, placed

WHEN = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def room() -> Room:
    return Room()


async def ask(room: Room, **wish: str) -> dict[str, str]:
    """Ask for an erasure; return what is told."""
    answer = await room.post("/v1/erasures", wish)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_a_wish_becomes_a_request_that_commits_to_its_subject_without_naming_it(room: Room) -> None:
    """R3: event and row hold a commitment; the subject is the record's key, the salt is told once and kept nowhere."""
    subject = random_id()
    told = await ask(room, subject=subject)
    assert told["status_url"] == f"/v1/erasures/{told['request']}"
    (record,) = room.records("erasure.requests")
    event = ErasureRequested.model_validate_json(record.value or b"")
    digest = hashlib.sha256(f"{told['salt']}.{subject}".encode()).digest()
    assert event.commitment == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert (event.request, event.storefront, record.key) == (told["request"], "bookshop", subject.encode())
    assert headers_of(record)["ce_type"] == "lethe.erasure.requested.v1"
    stored = repr(room.storage.tables.worker) + repr(record.value) + repr(record.headers)
    assert told["salt"] not in stored
    assert subject not in repr(room.storage.tables.worker)


async def test_a_repeat_with_its_own_id_and_salt_is_the_same_request(room: Room) -> None:
    wish = {"id": random_id(), "subject": random_id(), "salt": "ab" * 16}
    first, second = await ask(room, **wish), await ask(room, **wish)
    assert (
        first
        == second
        == {"request": wish["id"], "salt": wish["salt"], "status_url": f"/v1/erasures/{wish['id']}"}
    )
    ids = {headers_of(record)["ce_id"] for record in room.records("erasure.requests")}
    assert len(ids) == 1


async def test_what_kafka_did_not_take_is_taken_with_the_repeat(room: Room) -> None:
    wish = {"id": random_id(), "subject": random_id(), "salt": "ab" * 32}
    room.broker.away = True
    answer = await room.post("/v1/erasures", wish)
    assert (answer.status_code, answer.json()) == (503, {"code": "broker-unavailable"})
    room.broker.away = False
    await ask(room, **wish)
    assert len(room.records("erasure.requests")) == 1


@pytest.mark.parametrize("changed", ["subject", "salt", "storefront"])
async def test_an_id_used_for_something_else_is_a_conflict(room: Room, changed: str) -> None:
    wish = {"id": random_id(), "subject": random_id(), "salt": "ab" * 16}
    await ask(room, **wish)
    other = {
        "subject": wish | {"subject": random_id()},
        "salt": wish | {"salt": "cd" * 16},
        "storefront": wish | {"subject": random_id()},
    }[changed]
    answer = await room.post(
        "/v1/erasures", other, OTHER_TOKEN if changed == "storefront" else "token-of-the-bookshop"
    )
    assert (answer.status_code, answer.json()) == (409, {"code": "request-differs", "field": "id"})
    assert len(room.records("erasure.requests")) == 1


async def test_an_own_id_needs_an_own_salt(room: Room) -> None:
    answer = await room.post("/v1/erasures", {"id": random_id(), "subject": random_id()})
    assert (answer.status_code, answer.json()) == (422, {"code": "salt-missing", "field": "salt"})


@pytest.mark.parametrize(
    ("wish", "status", "code", "field"),
    [
        (b"{", 400, "not-json", ""),
        ([], 422, "not-an-object", ""),
        ({}, 422, "missing", "subject"),
        ({"subject": "ada@example.org"}, 422, "string-pattern-mismatch", "subject"),
        ({"subject": "a" * 32, "salt": "x"}, 422, "string-pattern-mismatch", "salt"),
        ({"subject": "a" * 32, "why": "I am Ada"}, 422, "extra-forbidden", "?"),
    ],
)
async def test_a_bad_wish_is_refused_without_its_value(
    room: Room, wish, status: int, code: str, field: str
) -> None:
    answer = await room.post("/v1/erasures", wish)
    assert (answer.status_code, answer.json()) == (
        status,
        {"code": code} | ({"field": field} if field else {}),
    )
    assert room.records("erasure.requests") == []


async def test_another_storefronts_subject_is_not_ones_to_erase(room: Room) -> None:
    subject = random_id()
    await room.take(placed(subject), token=OTHER_TOKEN)
    answer = await room.post("/v1/erasures", {"subject": subject})
    assert (answer.status_code, answer.json()) == (403, {"code": "subject-foreign", "field": "subject"})
    assert room.records("erasure.requests") == []


async def test_somebody_never_seen_is_bound_and_may_be_forgotten(room: Room) -> None:
    subject = random_id()
    await ask(room, subject=subject)
    assert (await room.take(placed(subject), token=OTHER_TOKEN)).status_code == 403


async def test_an_erased_person_may_ask_again(room: Room) -> None:
    subject = random_id()
    await ask(room, subject=subject)
    room.vault.apply(subject, Destroy(request=random_id(), round=1))
    await ask(room, subject=subject)


@pytest.mark.parametrize("away", ["vault", "desk"])
async def test_nothing_is_promised_while_something_is_away(room: Room, away: str) -> None:
    await room.take(placed())
    getattr(room, away).away = True
    answer = await room.post("/v1/erasures", {"subject": random_id()})
    assert answer.status_code == 503
    assert answer.json()["code"] == {"vault": "keyring-unavailable", "desk": "store-unavailable"}[away]
    assert room.records("erasure.requests") == []


async def fold(room: Room, *events: RequestProgressed | CertificateIssued) -> list[str]:
    """Let the gateway's worker handle events; return how each ended."""
    batch = []
    for number, event in enumerate(events):
        envelope = Envelope(
            derived_id("/erasure", event.request, event.model_dump_json(), 0), event.type, "/erasure"
        )
        record = Record("certificates", 0, number, b"", event.model_dump_json().encode(), ())
        batch.append(Received(record, envelope, event, "a" * 32, room.worker.handler.key(event, "a" * 32)))
    async with room.storage.transaction("0") as tx:
        return [handled.ending for handled in await room.worker.handler.handle(tx, batch)]


def progressed(request: RequestId, state: RequestState, **more) -> RequestProgressed:
    return RequestProgressed(request=request, state=state, round=1, **more)


async def test_the_storefront_is_told_who_is_missing_since_when_and_what_is_kept_until_when(
    room: Room,
) -> None:
    told = await ask(room, subject=random_id())
    open_orders = [
        Held(scope=random_id(), category=Category.LOGISTICS, ground=Ground.OPEN_ORDER) for _ in range(2)
    ]
    invoice = Held(scope=random_id(), category=Category.ACCOUNTING, ground=Ground.STATUTORY, until=WHEN)
    await fold(
        room,
        progressed(told["request"], RequestState.VERIFIED),
        progressed(told["request"], RequestState.DESTROYED, unreadable_at=WHEN),
        progressed(
            told["request"], RequestState.INCOMPLETE, missing=("carriers",), missing_since=WHEN,
            retained=(*open_orders, invoice),
        ),
    )  # fmt: skip
    answer = await room.get(told["status_url"])
    assert answer.json() == {
        "id": told["request"],
        "state": "incomplete",
        "round": 1,
        "joined": None,
        "missing": ["carriers"],
        "missing_since": "2026-11-23T10:00:00+00:00",
        "kept": [
            {
                "category": "accounting",
                "ground": "statutory",
                "until": "2026-11-23T10:00:00+00:00",
                "scopes": 1,
            },
            {"category": "logistics", "ground": "open-order", "until": None, "scopes": 2},
        ],
        "unreadable_at": "2026-11-23T10:00:00+00:00",
        "certificate_url": None,
    }
    assert invoice.scope not in json.dumps(answer.json()) + repr(room.storage.tables.worker)


async def test_the_newest_certificate_is_handed_out(room: Room) -> None:
    told = await ask(room, subject=random_id())
    assert (await room.get(f"{told['status_url']}/certificate")).json() == {"code": "certificate-pending"}
    await fold(
        room, *(CertificateIssued(request=told["request"], round=n, certificate=f"a.b.{n}") for n in (1, 2))
    )
    answer = await room.get(f"{told['status_url']}/certificate")
    assert (answer.text, answer.headers["content-type"]) == ("a.b.2", "application/jose")
    assert (await room.get(told["status_url"])).json()[
        "certificate_url"
    ] == f"{told['status_url']}/certificate"


async def test_a_request_that_joined_an_earlier_one_stands_where_that_one_does(room: Room) -> None:
    subject = random_id()
    first, second = await ask(room, subject=subject), await ask(room, subject=subject)
    await fold(
        room,
        progressed(second["request"], RequestState.FANNED_OUT, joined=first["request"]),
        CertificateIssued(request=first["request"], round=1, certificate="a.b.c"),
        progressed(first["request"], RequestState.CERTIFIED),
    )
    told = (await room.get(second["status_url"])).json()
    assert (told["id"], told["state"], told["joined"]) == (second["request"], "certified", first["request"])
    assert (await room.get(f"{second['status_url']}/certificate")).text == "a.b.c"


async def test_only_the_storefront_that_asked_is_told(room: Room) -> None:
    told = await ask(room, subject=random_id())
    for path in (told["status_url"], f"{told['status_url']}/certificate", f"/v1/erasures/{random_id()}"):
        assert (await room.get(path, OTHER_TOKEN)).status_code == 404
        assert (await room.get(path, OTHER_TOKEN)).json() == {"code": "request-unknown"}
        assert (await room.get(path, "no token")).status_code == 401


async def test_an_earlier_stretch_again_changes_nothing(room: Room) -> None:
    told = await ask(room, subject=random_id())
    events = [
        progressed(told["request"], RequestState.INCOMPLETE, missing=("orders", "carriers")),
        progressed(told["request"], RequestState.INCOMPLETE, missing=("carriers",)),
        CertificateIssued(request=told["request"], round=1, certificate="a.b.1"),
        progressed(told["request"], RequestState.CERTIFIED),
        CertificateIssued(request=told["request"], round=1, certificate="a.b.2"),
    ]
    assert await fold(room, *events) == ["consumed"] * 5
    before = dict(room.storage.tables.worker["request"])
    for start in range(5):
        assert await fold(room, *events[start:]) == ["repeated"] * (5 - start)
    assert room.storage.tables.worker["request"] == before


async def test_news_of_a_request_nobody_made_here_is_rejected(room: Room) -> None:
    assert await fold(room, progressed(random_id(), RequestState.VERIFIED)) == ["rejected"]


async def test_a_failed_flush_is_not_remembered_against_the_next(room: Room) -> None:
    message = Message("erasure.requests", b"a" * 32, b"{}", ())
    room.broker.away = True
    with pytest.raises(Exception, match="broker-unavailable"):
        await room.behind.send((message,))
    room.broker.away = False
    await room.behind.send((message,))


def test_a_request_that_a_restored_database_has_forgotten_comes_back_from_its_own_topic() -> None:
    """Then what was said of it since is read again, too; to a known one it is no news."""
    asked = ErasureRequested(request="1" * 32, storefront="shop", commitment="c" * 43)
    given = Given("id", "5" * 32, "/storefronts/shop", datetime.now(UTC), "f" * 32)
    found = decide(None, asked, given).state
    assert (found.id, found.storefront, found.commitment, found.state) == (
        "1" * 32,
        "shop",
        "c" * 43,
        RECEIVED,
    )
    certified = replace(found, state="certified")
    assert decide(certified, asked, given) == Decision(certified)
