"""A door for clicks without a network, and whoever stands before it; what it hands on is kept to be looked at."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
from prometheus_client import generate_latest

from services.gateway.clicks.page import Page
from services.gateway.clicks.site import Site
from services.kernel.telemetry import metrics
from tests.unit.gateway_room import CANARY, SHOP, Room

ORIGIN = "https://shop.example"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SITE = Site.model_validate_json(
    json.dumps(
        {
            "storefront": SHOP,
            "origins": [ORIGIN, "https://www.shop.example"],
            "routes": ["/", "/p/{item}", "/search", "/cart"],
            "search_parameter": "q",
        }
    )
)


class ClickRoom(Room):
    """The real application; where the anonymiser would be, what it would have been given is kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.desk.put(SITE)

    def rebuild(self) -> None:
        super().rebuild()
        self.visits: list[tuple[Site, str, str, list[Page]]] = []
        self.anonymiser.take = self._take  # type: ignore[method-assign]

    def _take(self, site: Site, address: str, agent: str, pages: Sequence[Page]) -> None:
        self.visits.append((site, address, agent, list(pages)))

    @property
    def pages(self) -> list[Page]:
        """Every page that was handed on."""
        return [page for *_, pages in self.visits for page in pages]

    async def beacon(
        self, body: Any, path: str = "/v1/collect", shop: str | None = SHOP, **headers: str
    ) -> httpx.Response:
        """Send as a page does: text/plain, with its origin."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"origin": ORIGIN, "user-agent": BROWSER, "content-type": "text/plain;charset=UTF-8"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        query = f"?shop={shop}" if shop else ""
        return await self.http.post(path + query, content=content, headers=sent)


def counted(code: str) -> float:
    """Return how many events were dropped for a reason."""
    return metrics.REGISTRY.get_sample_value("lethe_clicks_dropped_total", {"code": code}) or 0.0


def identity(field: str) -> float:
    """Return how often a field of this name was dropped."""
    return metrics.REGISTRY.get_sample_value("lethe_clicks_identity_total", {"field": field}) or 0.0


def told(answer: httpx.Response, capsys: Any) -> str:
    """Return all that the gateway has said: the answer, its headers, its log and its metrics."""
    said = capsys.readouterr()
    return f"{answer.text}{answer.headers}{said.out}{said.err}{generate_latest(metrics.REGISTRY).decode()}"


__all__ = ["BROWSER", "CANARY", "ORIGIN", "SHOP", "SITE", "ClickRoom", "counted", "identity", "told"]
