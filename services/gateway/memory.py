"""In-memory twins of the gateway's rows, for tests that need no database."""

from collections.abc import Collection, Mapping, Sequence

from services.gateway.clicks.site import Site
from services.gateway.clicks.sites import SiteRow
from services.gateway.domain import Request
from services.kernel.errors import StoreRejected, StoreUnavailable
from services.kernel.http.doorkeeper import digest_of
from services.kernel.storage.interface import Transaction
from services.kernel.storage.memory import MemoryStorage


class MemoryDesk:
    """Twin of `PostgresDesk`, on the tables of a `MemoryStorage`."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self.storefronts: dict[bytes, str] = {}
        self.documents: dict[str, tuple[int, str]] = {}
        """Version and text of each site."""
        self.away = False
        """True: the database cannot be reached."""

    def admit(self, storefront: str, token: str) -> None:
        """Let a storefront in."""
        self.storefronts[digest_of(token.encode())] = storefront

    def revoke(self, storefront: str) -> None:
        """Forget its token."""
        self.storefronts = {digest: name for digest, name in self.storefronts.items() if name != storefront}

    def put(self, site: Site) -> None:
        """Let a shop say what may be counted of its pages."""
        version = 1 + max((version for version, _ in self.documents.values()), default=0)
        self.documents[site.storefront] = (version, site.model_dump_json())

    async def sites(self, known: Collection[int]) -> Sequence[SiteRow]:
        self._check()
        return [
            SiteRow(name, version, None if version in known else text)
            for name, (version, text) in self.documents.items()
        ]

    async def tokens(self) -> Mapping[bytes, str]:
        self._check()
        return dict(self.storefronts)

    async def receive(self, request: Request) -> Request:
        self._check()
        return self._rows.setdefault(request.id, request)

    async def find(self, request: str) -> Request | None:
        self._check()
        if "\0" in request:
            raise StoreRejected("22021")
        return self._rows.get(request)

    @property
    def _rows(self) -> dict[str, Request]:
        return self._storage.tables.worker["request"]

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


class MemoryRequestStore:
    """Twin of `RequestStore`."""

    async def load(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Request]:
        """Return the requests that exist."""
        rows = tx.connection["request"]
        return {key: rows[key] for key in keys if key in rows}

    async def save(self, tx: Transaction, states: Mapping[str, Request]) -> None:
        """Replace what is told about these requests; insert unknown ones."""
        tx.connection["request"].update(states)
