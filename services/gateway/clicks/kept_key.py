"""The tag key as the gateway keeps it: asked for by itself, forgotten when it dies, never awaited by a visitor."""

from services.kernel.clock import Clock, backoff
from services.kernel.errors import LetheError
from services.kernel.failpoints import Step, step
from services.kernel.sealing.interface import Keyring
from services.kernel.sealing.tagging import TagKey
from services.kernel.telemetry import log
from services.kernel.worker.background import Background

ASK_SECONDS = 10.0
"""How often it is asked for again: all gateways tag under the newest key soon after another one was lost."""
LEAST_SECONDS = 0.01

_log = log.get(__name__)


class KeptKey(Background):
    """Asks in the background. While the keyring is away, the key that is known stays until its death."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self._key: TagKey | None = None
        self._refused = ""

    @property
    def living(self) -> TagKey | None:
        """The key, None when there is none or it has died."""
        key = self._key
        if key is not None and not key.dies_in_seconds:
            key.drop()
            self._key = key = None
        return key

    async def stop(self) -> None:
        """Ask no more, forget the key."""
        await super().stop()
        if self._key is not None:
            self._key.drop()

    async def ask(self) -> None:
        """Ask once; raises what `Keyring.tag_key` does."""
        with step(Step.TAGS):
            key = await self._keyring.tag_key()
        old, self._key = self._key, key
        if old is not None:
            old.drop()

    async def _work(self) -> None:
        waits = backoff()
        while True:
            code = await self._refusal()
            if code and code != self._refused:
                _log.warning("no tag key", code=code)
            self._refused = code
            if code:
                pause = next(waits)
            else:
                waits = backoff()
                living = self.living
                pause = min(ASK_SECONDS, max(LEAST_SECONDS, living.dies_in_seconds if living else 0.0))
            await self._clock.sleep(pause)

    async def _refusal(self) -> str:
        try:
            await self.ask()
        except LetheError as error:
            return error.code
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no key, and asking goes on
            return type(error).__name__
        return ""
