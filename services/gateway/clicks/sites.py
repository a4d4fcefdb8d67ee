"""What shops say of their pages, known for a few seconds at a time: as fresh, and as old at most, as tokens."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from services.gateway.clicks.site import Site
from services.gateway.refusals import Code, Refusal
from services.kernel.clock import Clock
from services.kernel.errors import RetryableError
from services.kernel.http.doorkeeper import FRESH_SECONDS, MISS_SECONDS, STALE_SECONDS
from services.kernel.telemetry import log

_log = log.get(__name__)


class SiteRow(NamedTuple):
    """A row of the table; the document is left out where the reader has this version already."""

    storefront: str
    version: int
    document: str | None


Read = Callable[[Collection[int]], Awaitable[Sequence[SiteRow]]]


class Sites:
    """Finds what a shop says of its pages by the shop's id, which is public."""

    def __init__(self, read: Read, clock: Clock) -> None:
        """`read` returns every row, without the documents of the versions that it is given."""
        self._read = read
        self._clock = clock
        self._known: dict[str, tuple[int, Site | None]] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, storefront: str) -> Site:
        """Return a shop's site; raise `Refusal`: 404 for an unknown one, 503 when that cannot be known."""
        age = self._clock.monotonic() - self._read_at
        if age > STALE_SECONDS:
            await self._refresh()
        elif age > FRESH_SECONDS:
            self._start_reading()
        site = self._found(storefront)
        if site is None and self._clock.monotonic() - self._read_at > MISS_SECONDS:
            await self._refresh()
            site = self._found(storefront)
        if site is None:
            raise Refusal(Code.SITE_UNKNOWN)
        return site

    def _found(self, storefront: str) -> Site | None:
        return self._known.get(storefront, (0, None))[1]

    async def _refresh(self) -> None:
        started_at = self._clock.monotonic()
        await asyncio.shield(self._start_reading())
        if self._read_at < started_at - STALE_SECONDS:
            raise Refusal(Code.STORE_UNAVAILABLE)

    def _start_reading(self) -> "asyncio.Task[None]":
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_once())
        return self._reading

    async def _read_once(self) -> None:
        started_at = self._clock.monotonic()
        try:
            rows = await self._read([version for version, _ in self._known.values()])
        except RetryableError:
            return
        self._known = {row.storefront: self._site(row) for row in rows}
        # Counted from the question, not the answer: a removal in between belongs to the next reading.
        self._read_at = started_at

    def _site(self, row: SiteRow) -> tuple[int, Site | None]:
        version, site = self._known.get(row.storefront, (0, None))
        if row.document is None and version == row.version:
            return version, site
        return row.version, _parsed(row)


def _parsed(row: SiteRow) -> Site | None:
    """Return the site; None, and a line in the log, for one that this version of the gateway cannot read."""
    try:
        return Site.model_validate_json(row.document or "")
    except ValidationError:
        _log.error("site cannot be read", storefront=row.storefront)
        return None
