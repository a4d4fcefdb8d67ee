"""Whether the keyring serves, asked every few seconds: readiness must say what senders would be told.

Not being ready takes the gateway out of a load balancer's turn until the keyring is back. It stays alive: killing it
would bring no keyring back.
"""

from services.kernel.clock import Clock
from services.kernel.errors import LetheError
from services.kernel.sealing.interface import Keyring
from services.kernel.telemetry import log
from services.kernel.worker.background import Background

LOOK_SECONDS = 1.0
_log = log.get(__name__)


class KeyringWatch(Background):
    """Asks by itself, so that it also notices where nobody sends anything."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self.answered = False
        """Whether the keyring served when last asked; not before it did for the first time."""

    @property
    def ready(self) -> bool:
        """As it was last answered."""
        return self.answered

    async def look(self) -> None:
        """Ask once."""
        code = await self._refusal()
        if self.answered and code:
            _log.warning("keyring does not serve", code=code)
        elif not self.answered and not code:
            _log.info("keyring serves")
        self.answered = not code

    async def _refusal(self) -> str:
        try:
            await self._keyring.mint("gateway", ())
        except LetheError as error:
            return error.code
        except Exception as error:  # noqa: BLE001 - who cannot ask cannot be told that it serves
            return type(error).__name__
        return ""

    async def _work(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)
