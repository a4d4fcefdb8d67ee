"""What the kernel says of a token, said by the gateway."""

from collections.abc import Mapping

import pytest

from services.gateway.refusals import Code, Refusal
from services.gateway.tokens import Doorkeeper
from services.kernel.clock import SystemClock
from services.kernel.errors import StoreUnavailable
from services.kernel.http.doorkeeper import digest_of


async def listed() -> Mapping[bytes, str]:
    return {digest_of(b"good"): "bookshop"}


async def away() -> Mapping[bytes, str]:
    raise StoreUnavailable("away")


@pytest.mark.parametrize(
    ("read", "authorization", "code"),
    [(listed, b"Bearer bad", Code.TOKEN_WRONG), (away, b"Bearer good", Code.STORE_UNAVAILABLE)],
)
async def test_who_is_not_let_in_is_told_a_code_of_the_gateway(read, authorization, code) -> None:
    with pytest.raises(Refusal) as caught:
        await Doorkeeper(read, SystemClock()).storefront(authorization)
    assert caught.value.reason.code == code


async def test_who_is_let_in_is_known_by_the_storefront() -> None:
    assert await Doorkeeper(listed, SystemClock()).storefront(b"Bearer good") == "bookshop"
