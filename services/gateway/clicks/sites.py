"""What shops say of their pages, known for a few seconds at a time: as fresh, and as old at most, as tokens."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from services.gateway.clicks.site import Site
from services.gateway.refusals import Code, Refusal
from services.kernel.clock import Clock
from services.kernel.errors import StoreUnavailable
from services.kernel.http.recent import Recent
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
        self._known: dict[str, tuple[int, Site | None]] = {}
        self._recent = Recent(self._read_all, clock, "sites-unread")

    async def find(self, storefront: str) -> Site:
        """Return a shop's site; raise `Refusal`: 404 for an unknown one, 503 when that cannot be known."""
        try:
            site = await self._recent.find(lambda: self._known.get(storefront, (0, None))[1])
        except StoreUnavailable:
            raise Refusal(Code.STORE_UNAVAILABLE) from None
        if site is None:
            raise Refusal(Code.SITE_UNKNOWN)
        return site

    async def _read_all(self) -> None:
        rows = await self._read([version for version, _ in self._known.values()])
        self._known = {row.storefront: self._site(row) for row in rows}

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
