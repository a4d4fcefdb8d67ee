"""Who may call, and how soon a revoked token is refused."""

import asyncio
from collections.abc import Mapping

import pytest

from services.kernel.errors import LetheError, StoreUnavailable
from services.kernel.http.doorkeeper import Doorkeeper, digest_of, new_token
from services.kernel.http.recent import MISS_SECONDS, STALE_SECONDS


class StillClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def monotonic(self) -> float:
        return self.at


class Rows:
    """The list of tokens, as a database would give it."""

    def __init__(self) -> None:
        self.tokens = {digest_of(b"good"): "bookshop"}
        self.readings = 0
        self.away = False

    async def read(self) -> Mapping[bytes, str]:
        self.readings += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return dict(self.tokens)


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def keeper(rows: Rows, clock: StillClock) -> Doorkeeper:
    return Doorkeeper(rows.read, clock)  # type: ignore[arg-type]


async def code_of(keeper: Doorkeeper, authorization: bytes) -> str:
    with pytest.raises(LetheError) as caught:
        await keeper.bearer(authorization)
    return caught.value.code


def test_a_token_has_256_random_bits_and_its_digest_says_nothing() -> None:
    assert len(new_token()) == 43
    assert new_token() != new_token()
    assert digest_of(b"good") != b"good"


async def test_the_scheme_is_read_as_http_says(keeper: Doorkeeper) -> None:
    for authorization in (b"Bearer good", b"bearer good", b"BEARER   good "):
        assert await keeper.bearer(authorization) == "bookshop"
    for authorization in (b"", b"good", b"Basic good", b"Bearer", b"Bearer bad", b"Bearer good good"):
        assert await code_of(keeper, authorization) == "TokenWrong"


async def test_one_reading_serves_many_calls(keeper: Doorkeeper, rows: Rows, clock: StillClock) -> None:
    await asyncio.gather(*(keeper.bearer(b"Bearer good") for _ in range(50)))
    clock.at += 1
    await asyncio.gather(*(keeper.bearer(b"Bearer good") for _ in range(50)))
    assert rows.readings == 1


async def test_a_revoked_token_is_refused_within_five_seconds(
    keeper: Doorkeeper, rows: Rows, clock: StillClock
) -> None:
    """Even when nothing but the revoked token calls."""
    await keeper.bearer(b"Bearer good")
    rows.tokens.clear()
    clock.at += STALE_SECONDS + 0.5
    assert await code_of(keeper, b"Bearer good") == "TokenWrong"


async def test_a_new_token_is_known_at_its_first_call(
    keeper: Doorkeeper, rows: Rows, clock: StillClock
) -> None:
    await keeper.bearer(b"Bearer good")
    rows.tokens[digest_of(b"new")] = "shoeshop"
    clock.at += MISS_SECONDS + 0.01
    assert await keeper.bearer(b"Bearer new") == "shoeshop"


async def test_guessing_tokens_does_not_load_the_database(
    keeper: Doorkeeper, rows: Rows, clock: StillClock
) -> None:
    for number in range(500):
        await code_of(keeper, b"Bearer guess-%d" % number)
    assert rows.readings == 1
    clock.at += MISS_SECONDS + 0.01
    await asyncio.gather(*(code_of(keeper, b"Bearer guess-%d" % number) for number in range(500)))
    assert rows.readings == 2


async def test_without_the_list_nobody_is_let_in(keeper: Doorkeeper, rows: Rows, clock: StillClock) -> None:
    """Fail closed: a list too old to show a revocation is not used."""
    await keeper.bearer(b"Bearer good")
    rows.away = True
    clock.at += STALE_SECONDS - 0.5
    assert await keeper.bearer(b"Bearer good") == "bookshop"
    clock.at += 1
    assert await code_of(keeper, b"Bearer good") == "tokens-unread"
    rows.away = False
    assert await keeper.bearer(b"Bearer good") == "bookshop"


async def test_a_digest_that_only_begins_like_a_known_one_lets_nobody_in(
    keeper: Doorkeeper, rows: Rows
) -> None:
    """The look-up goes by a part of the digest; whose token it is, is for all of it to say."""
    rows.tokens = {digest_of(b"good")[:8] + bytes(24): "bookshop"}
    assert await code_of(keeper, b"Bearer good") == "TokenWrong"


async def test_what_was_changed_during_a_reading_is_known_after_learning(
    keeper: Doorkeeper, rows: Rows, clock: StillClock
) -> None:
    """A reading that was under way when a token was added does not know it, and must not pass for one that does."""
    await keeper.bearer(b"Bearer good")
    go = asyncio.Event()
    listed = rows.read

    async def slow() -> Mapping[bytes, str]:
        found = await listed()
        await go.wait()
        return found

    keeper._read = slow
    clock.at += 3
    await keeper.bearer(b"Bearer good")
    await asyncio.sleep(0.01)
    rows.tokens[digest_of(b"new")] = "shoeshop"
    learning = asyncio.create_task(keeper.learn())
    await asyncio.sleep(0.01)
    go.set()
    await learning
    assert await keeper.bearer(b"Bearer new") == "shoeshop"
