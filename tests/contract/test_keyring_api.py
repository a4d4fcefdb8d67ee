"""The keyring's HTTP face: who gets in, what is refused, what an error never holds (T2, U1)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from schemas.privacy import Category
from services.kernel.sealing.interface import MOST_PER_CALL
from services.keyring.api import BODY_BYTES
from services.keyring.settings import Settings
from tests.fixtures.keyring import SHOP, Bench, confirmed, destroy, new_id, new_ref, settings_for

KID = "k" * 43


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    dsn = request.getfixturevalue("platform").new_database()
    return settings_for(dsn, tmp_path_factory.mktemp("keyring"), opening_limits={"carriers": 400.0})


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    async with Bench(settings) as bench:
        yield bench


def key_body(**other: Any) -> dict[str, Any]:
    return {"subject": "a" * 32, "category": "logistics", "scope": "b" * 32, **other}


def mint_body(**other: Any) -> dict[str, Any]:
    return {"storefront": SHOP, "keys": [key_body()], "subjects": [], **other}


async def post(client: httpx.AsyncClient, path: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await client.post(path, content=content)


async def test_every_endpoint_asks_who_calls(bench: Bench) -> None:
    client = bench.http("gateway")
    client.headers["authorization"] = "Bearer nobody"
    for method, path in (
        ("POST", "/v1/mint"),
        ("POST", "/v1/open"),
        ("GET", f"/v1/subjects/{new_id()}"),
        ("GET", "/v1/openings"),
        ("GET", "/v1/keks"),
        ("POST", "/v1/keks/rotations"),
    ):
        for headers in ({}, {"authorization": ""}):
            answer = await client.request(method, path, headers=headers, content=b"{}")
            assert (answer.status_code, answer.json()) == (401, {"error": "token-unknown"})


@pytest.mark.parametrize(
    ("principal", "method", "path"),
    [
        ("carriers", "POST", "/v1/mint"),
        ("orders", "POST", "/v1/mint"),
        ("operator", "POST", "/v1/mint"),
        ("gateway", "POST", "/v1/open"),
        ("orders", "POST", "/v1/open"),
        ("erasure", "POST", "/v1/open"),
        ("operator", "POST", "/v1/open"),
        ("gateway", "GET", "/v1/subjects/" + "a" * 32),
        ("carriers", "GET", "/v1/openings"),
        ("gateway", "GET", "/v1/keks"),
        ("erasure", "POST", "/v1/keks/rotations"),
        ("gateway", "POST", "/v1/keks/rotations"),
    ],
)
async def test_who_has_no_right_is_told_so(bench: Bench, principal: str, method: str, path: str) -> None:
    body = {"purpose": "delivery", "kids": []} if path == "/v1/open" else mint_body()
    answer = await bench.http(principal).request(method, path, content=orjson.dumps(body))
    assert (answer.status_code, answer.json()) == (403, {"error": "no-right"})


async def test_carriers_open_for_their_purpose_only(bench: Bench) -> None:
    answer = await post(bench.http("carriers"), "/v1/open", {"purpose": "settlement", "kids": []})
    assert answer.status_code == 403


async def test_public_keys_need_no_token(bench: Bench) -> None:
    client = bench.http("gateway")
    answer = await client.get("/v1/keys.jwks", headers={"authorization": ""})
    (key,) = answer.json()["keys"]
    assert key == bench.signer.jwk()
    assert "d" not in key


BAD_MINTS: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"storefront": NaN}',
    b"[" * 2000,
    {},
    mint_body(more=1),
    mint_body(storefront="Not A Name"),
    mint_body(storefront=None),
    mint_body(keys=None),
    mint_body(keys=[key_body(subject="canary@example.test")]),
    mint_body(keys=[key_body(subject="A" * 32)]),
    mint_body(keys=[key_body(subject="a" * 31 + "\x00")]),
    mint_body(keys=[key_body(scope="")]),
    mint_body(keys=[key_body(category="gossip")]),
    mint_body(keys=[key_body(extra="canary")]),
    mint_body(keys=[key_body()] * (MOST_PER_CALL + 1)),
    mint_body(subjects=["canary"]),
    mint_body(subjects=["a" * 32] * (MOST_PER_CALL + 1)),
]


@pytest.mark.parametrize("body", BAD_MINTS, ids=range(len(BAD_MINTS)))
async def test_what_breaks_the_contract_is_refused_without_an_echo(bench: Bench, body: Any) -> None:
    answer = await post(bench.http("gateway"), "/v1/mint", body)
    assert (answer.status_code, answer.json()) == (400, {"error": "contract"})
    assert b"canary" not in answer.content


@pytest.mark.parametrize(
    "body",
    [{}, {"purpose": "gossip", "kids": []}, {"purpose": "delivery", "kids": ["short"]},
     {"purpose": "delivery", "kids": [KID] * (MOST_PER_CALL + 1)}, {"purpose": "delivery", "kids": [KID], "x": 1}],
)  # fmt: skip
async def test_a_bad_question_to_open_is_refused(bench: Bench, body: Any) -> None:
    answer = await post(bench.http("carriers"), "/v1/open", body)
    assert (answer.status_code, answer.json()) == (400, {"error": "contract"})


async def test_a_body_that_is_too_long_is_refused(bench: Bench) -> None:
    answer = await post(bench.http("gateway"), "/v1/mint", b" " * (BODY_BYTES + 1))
    assert (answer.status_code, answer.json()) == (413, {"error": "too-long"})


async def test_nothing_is_minted_or_opened_before_the_replay_has_ended(bench: Bench) -> None:
    bench.ready = False
    for principal, path, body in (
        ("gateway", "/v1/mint", mint_body()),
        ("carriers", "/v1/open", {"purpose": "delivery", "kids": [KID]}),
    ):
        answer = await post(bench.http(principal), path, body)
        assert (answer.status_code, answer.json()) == (503, {"error": "not-ready"})
    assert (await bench.http("operator").get(f"/v1/subjects/{new_id()}")).status_code == 503


async def test_openings_are_limited_per_principal(bench: Bench) -> None:
    client = bench.http("carriers")
    kids = [KID] * 1000
    answers = [await post(client, "/v1/open", {"purpose": "delivery", "kids": kids}) for _ in range(4)]
    assert [answer.status_code for answer in answers].count(429) >= 1
    assert answers[0].status_code == 200


async def test_openings_are_counted_by_worker_category_and_purpose(bench: Bench) -> None:
    before = await _opened(bench)
    keys = await bench.mint(new_ref(), new_ref())
    await bench.open(*(key.kid for key in keys), KID)
    assert await _opened(bench) == before + 2, "two were handed out, one does not exist"


async def _opened(bench: Bench) -> int:
    rows = (await bench.http("operator").get("/v1/openings")).json()["openings"]
    mine = [row for row in rows if (row["principal"], row["category"]) == ("carriers", "logistics")]
    return sum(row["count"] for row in mine if row["purpose"] == "delivery")


async def test_an_answer_is_not_stored_on_the_way(bench: Bench) -> None:
    answer = await post(bench.http("gateway"), "/v1/mint", mint_body(keys=[key_body(subject=new_id())]))
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()["keys"][0]) == {"kid", "key"}


async def test_how_a_subject_stands_is_told_to_who_may_ask(bench: Bench) -> None:
    ref = new_ref()
    await bench.mint(ref)
    await bench.apply(ref.subject, confirmed(ref))
    await bench.apply(ref.subject, destroy("d" * 32))
    for principal in ("operator", "erasure"):
        answer = (await bench.http(principal).get(f"/v1/subjects/{ref.subject}")).json()
        assert (answer["state"], answer["request"]) == ("erasing", "d" * 32)
        (pair,) = answer["pairs"]
        assert (pair["scope"], pair["ground"], pair["keys"]) == (ref.scope, "open-order", 1)
    for unknown in (new_id(), "x", "%00", "a" * 31):
        assert (await bench.http("operator").get(f"/v1/subjects/{unknown}")).status_code == 404


async def test_a_rotation_is_begun_by_the_operator(bench: Bench) -> None:
    client = bench.http("operator")
    assert (await post(client, "/v1/keks/rotations", {"category": "logistics"})).json() == {
        "begun": ["logistics"]
    }
    assert (await post(client, "/v1/keks/rotations", {})).status_code == 200
    assert (await post(client, "/v1/keks/rotations", {"category": "gossip"})).status_code == 400
    assert bench.asked_rotations == [Category.LOGISTICS, None]
    keks = (await client.get("/v1/keks")).json()["keks"]
    assert {kek["category"] for kek in keks} == set(Category)


async def test_a_database_that_is_away_is_503_and_no_detail(bench: Bench) -> None:
    await bench.pool.execute("ALTER TABLE data_key RENAME TO data_key_gone")
    try:
        answer = await post(bench.http("gateway"), "/v1/mint", mint_body(keys=[key_body(subject=new_id())]))
    finally:
        await bench.pool.execute("ALTER TABLE data_key_gone RENAME TO data_key")
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
    await bench.storage.stop()
    answer = await post(bench.http("gateway"), "/v1/mint", mint_body())
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})


async def test_an_altered_row_is_unknown_to_its_caller(bench: Bench) -> None:
    """Whoever writes the database moves a wrapped key to another subject's row: it does not unwrap there."""
    mine, theirs = await bench.mint(new_ref(), new_ref())
    await bench.pool.execute(
        "UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE kid = $1) WHERE kid = $2",
        mine.kid, theirs.kid,
    )  # fmt: skip
    answer = await post(
        bench.http("carriers"), "/v1/open", {"purpose": "delivery", "kids": [mine.kid, theirs.kid]}
    )
    first, second = answer.json()["keys"]
    assert first["kid"] == mine.kid
    assert second == {"refused": "unknown"}
