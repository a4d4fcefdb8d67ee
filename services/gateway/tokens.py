"""Which storefront is calling, in the gateway's own refusals."""

from services.gateway.refusals import Code, Refusal
from services.kernel.errors import StoreUnavailable
from services.kernel.http import doorkeeper


class Doorkeeper(doorkeeper.Doorkeeper):
    """Knows the storefronts' tokens for a few seconds at a time."""

    async def storefront(self, authorization: bytes) -> str:
        """Return whose token the header carries.

        Raises `Refusal`: 401 for none, a wrong one or a revoked one alike; 503 when that cannot be known.
        """
        try:
            return await self.bearer(authorization)
        except doorkeeper.TokenWrong:
            refusal = Refusal(Code.TOKEN_WRONG)
        except StoreUnavailable:
            refusal = Refusal(Code.STORE_UNAVAILABLE)
        raise refusal
