"""Any call of the keyring, through the real application: an answer or a code, never an echo, never a fault (T1)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.sealing.keys import DataKey
from services.keyring.api import BODY_BYTES, Api
from services.keyring.limits import Limits
from services.keyring.receipts import Signer
from services.keyring.rights import Guests
from tests.unit.examples import examples
from tests.unit.fuzz.nonsense import CANARY, corpus, damaged, nothing_is_told
from tests.unit.fuzz.vault_service import VaultService

PRINCIPALS = ("gateway", "carriers", "operator", "orders")
SUBJECT, SCOPE = "5" * 32, "a" * 32
KEY = {"subject": SUBJECT, "category": "logistics", "scope": SCOPE}
BODIES = [
    json.dumps(body).encode()
    for body in (
        {
            "storefront": "bookshop",
            "keys": [KEY, KEY | {"category": "identity"}],
            "subjects": [SUBJECT, "6" * 32],
        },
        {"storefront": "bookshop", "keys": [], "subjects": [CANARY]},
        {"purpose": "delivery", "kids": [DataKey(b"k" * 32).kid] * 3},
        {"purpose": "settlement", "kids": []},
        {"category": "logistics"},
        {},
    )
]
POSTED = ("/v1/mint", "/v1/open", "/v1/keks/rotations")
ASKED = ("/v1/openings", "/v1/keks", "/v1/keys.jwks", f"/v1/subjects/{SUBJECT}", f"/v1/subjects/{CANARY}")
CODES = {"contract", "token-unknown", "no-right", "too-long", "too-fast", "not-ready", "subject-unknown"}


class Still:
    """A clock that does not move: what was taken from a bucket does not come back."""

    def monotonic(self) -> float:
        return 0.0


class Desk:
    """The keyring's door on a vault in memory."""

    def __init__(self) -> None:
        self.service, self.ready, self.per_second = VaultService(), True, 10.0**9
        digests = {name: hashlib.sha256(f"token-of-{name}".encode()).hexdigest() for name in PRINCIPALS}
        self.app = Api(
            service=self.service,  # type: ignore[arg-type]
            guests=Guests(digests),
            limits=Limits(lambda _: self.per_second, Still()),  # type: ignore[arg-type]
            signer=Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32)),
            ready=lambda: self.ready,
            rotate=self._rotate,
        ).app()

    async def _rotate(self, _: object) -> list[str]:
        return []

    def http(self, principal: str = "gateway") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer token-of-{principal}"}
        return httpx.AsyncClient(
            base_url="http://keyring", headers=headers, transport=httpx.ASGITransport(self.app)
        )


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


def check(runner: asyncio.Runner, desk: Desk, principal: str, path: str, body: bytes | None) -> None:
    async def call() -> httpx.Response:
        async with desk.http(principal) as http:
            return await (http.get(path) if body is None else http.post(path, content=body))

    with nothing_is_told():
        answer = runner.run(call())
    assert CANARY not in answer.text + str(answer.headers)
    told = answer.json()
    assert answer.status_code == 200 or (answer.status_code < 500 and told["error"] in CODES), answer.text


@pytest.mark.parametrize(("name", "body"), corpus("keyring"))
def test_what_was_found_before_is_still_decided(
    runner: asyncio.Runner, desk: Desk, name: str, body: bytes
) -> None:
    for principal in PRINCIPALS:
        for path in POSTED:
            check(runner, desk, principal, path, body)


@given(
    principal=st.sampled_from((*PRINCIPALS, "nobody")),
    path=st.sampled_from(POSTED),
    body=damaged([*BODIES, *dict(corpus("keyring")).values()]),
)
@examples(250)
def test_any_question_is_answered_or_refused(
    runner: asyncio.Runner, desk: Desk, principal: str, path: str, body: bytes
) -> None:
    check(runner, desk, principal, path, body)


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("principal", PRINCIPALS)
def test_whoever_asks_for_whatever_gets_no_echo(
    runner: asyncio.Runner, desk: Desk, principal: str, path: str
) -> None:
    check(runner, desk, principal, path, None)


@given(token=damaged([b"Bearer token-of-gateway", b"Bearer Quxolotl", b"Basic Quxolotl"]))
@examples(80)
def test_no_damaged_token_lets_anybody_in(runner: asyncio.Runner, desk: Desk, token: bytes) -> None:
    if token.partition(b" ")[2] in {b"token-of-%s" % name.encode() for name in PRINCIPALS}:
        return
    scope = {
        "type": "http", "method": "POST", "path": "/v1/open", "raw_path": b"/v1/open", "query_string": b"",
        "headers": [(b"authorization", token)], "http_version": "1.1", "scheme": "http", "root_path": "",
    }  # fmt: skip
    told: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": BODIES[2], "more_body": False}

    async def send(message: dict) -> None:
        told.append(message)

    asked = desk.service.asked
    with nothing_is_told():
        runner.run(desk.app(scope, receive, send))
    assert told[0]["status"] == 401 and CANARY.encode() not in told[1]["body"]
    assert desk.service.asked == asked


async def test_a_thief_of_a_token_opens_no_faster_than_allowed() -> None:
    desk = Desk()
    desk.per_second = 2.0
    kids = [DataKey.fresh().kid for _ in range(8)]
    async with desk.http("carriers") as http:
        codes = [
            (await http.post("/v1/open", json={"purpose": "delivery", "kids": [kid]})).status_code
            for kid in (*kids, *kids)
        ]
    assert codes == [200] * 10 + [429] * 6
    assert desk.service.asked == 10


async def test_a_body_that_never_ends_is_refused_as_soon_as_it_is_too_long() -> None:
    desk, sent = Desk(), 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 8 * BODY_BYTES:
            sent += 64 * 1024
            yield b" " * 64 * 1024

    async with desk.http() as http:
        answer = await http.post("/v1/mint", content=parts())
    assert (answer.status_code, answer.json()) == (413, {"error": "too-long"})
    assert desk.service.asked == 0


async def test_nobody_is_served_before_the_replay_has_ended() -> None:
    desk = Desk()
    desk.ready = False
    for principal, path, body in (("gateway", "/v1/mint", BODIES[0]), ("carriers", "/v1/open", BODIES[2])):
        async with desk.http(principal) as http:
            answer = await http.post(path, content=body)
        assert (answer.status_code, answer.json()) == (503, {"error": "not-ready"})
    async with desk.http("operator") as http:
        assert (await http.get(f"/v1/subjects/{SUBJECT}")).status_code == 503
    assert desk.service.asked == 0
