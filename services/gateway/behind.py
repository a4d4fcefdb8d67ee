"""What stands behind the gateway: the keyring and Kafka. When one of them is away, the sender sees a 503."""

import asyncio
from collections.abc import Sequence

from services.gateway.refusals import Code, Refusal
from services.kernel.broker.interface import Message, Producer
from services.kernel.errors import BrokerUnavailable, ConfigurationError, KeyringUnavailable, LaneLost
from services.kernel.sealing.batching import Batching
from services.kernel.sealing.interface import Keyring, Minted, Refused, SubjectState
from services.kernel.sealing.keys import KeyRef
from services.kernel.telemetry import log

SEND_SECONDS = 10.0
"""How long Kafka may take to acknowledge a flush before its senders are asked to come again."""
MOST_PER_FLUSH = 2_000

_log = log.get(__name__)


class Behind:
    """Asks for keys and hands over to Kafka; what concurrent requests want travels together."""

    def __init__(self, keyring: Keyring, producer: Producer) -> None:
        self._keyring = keyring
        self._producer = producer
        self._flushes: Batching[Message, None] = Batching(self._flush, MOST_PER_FLUSH)

    async def mint(self, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str] = ()) -> Minted:
        """Return fresh keys and how subjects stand; raise `Refusal` (503) when the keyring cannot say."""
        try:
            minted = await self._keyring.mint(storefront, refs, subjects)
        except KeyringUnavailable:
            raise Refusal(Code.KEYRING_UNAVAILABLE) from None
        except ConfigurationError as error:
            _log.error("keyring refuses the gateway", code=error.code)
            raise Refusal(Code.KEYRING_UNAVAILABLE) from None
        if Refused.CATEGORY_FORBIDDEN in minted.keys:
            _log.error("keyring refuses a category")
            raise Refusal(Code.KEYRING_UNAVAILABLE)
        return minted

    async def state(self, storefront: str, subject: str) -> SubjectState:
        """Return how a subject stands; binds an unseen one to the storefront."""
        return (await self.mint(storefront, (), (subject,))).subjects[0]

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has every message; raise `Refusal` (503) when it does not say so in time.

        A message may be in Kafka all the same: the sender repeats it, and whoever reads it folds the first.
        """
        try:
            await self._flushes.ask(messages)
        except (BrokerUnavailable, TimeoutError):
            raise Refusal(Code.BROKER_UNAVAILABLE) from None
        except ConfigurationError as error:
            _log.error("kafka refuses the gateway", code=error.code)
            raise Refusal(Code.BROKER_UNAVAILABLE) from None

    async def close(self) -> None:
        """Give up the flush in flight."""
        await self._flushes.close()

    async def _flush(self, messages: Sequence[Message]) -> Sequence[None]:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._producer.send(messages)
        except LaneLost:
            # The broker has forgotten this producer, as it does after a long silence; the next flush starts another.
            await self._producer.stop()
            raise BrokerUnavailable("producer-forgotten") from None
        return [None] * len(messages)
