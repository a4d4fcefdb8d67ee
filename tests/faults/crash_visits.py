"""Visitors at the gateway's own door, while it or the keyring dies on the way of their clicks (C3)."""

import itertools
import json
import secrets
import time
from collections import defaultdict

import httpx

from deploy.local import stack as platforms
from schemas.clicks import CROWD, CellsSeen, Kind
from schemas.topics import CLICKS
from tests.faults.faulty import Faulty
from tests.fixtures import clicks, evidence
from tests.fixtures.evidence import await_

VISITORS = 14
FLUSH_SECONDS = {"gateway": {"flush_seconds": "1"}}
ORIGIN = "https://shop.example"


class Visits:
    """A shop whose visitors all look at one product after another; its tag key grows old again and again."""

    SECONDS = 60.0

    def __init__(self, faulty: Faulty) -> None:
        self.faulty = faulty
        self.shop = f"shop-{secrets.token_hex(4)}"
        self._products = itertools.count(1)

    def prepare(self) -> None:
        site = {"storefront": self.shop, "origins": [ORIGIN], "routes": ["/p/{item}"]}
        stack = self.faulty.stack
        # Two gateways would need a crowd each; the settings hold for whichever start comes next.
        stack.stop_worker("gateway")
        platforms.start(self.faulty.state, only=("gateway",), settings=FLUSH_SECONDS)
        evidence.rows(
            stack.admin_dsn(), "INSERT INTO gateway.site (storefront, document) VALUES ($1, $2)",
            self.shop, json.dumps(site),
        )  # fmt: skip

    def provoke(self) -> None:
        """Let everybody look at the next product, and let midnight come for the key, until enough have died."""
        until = time.monotonic() + self.SECONDS
        while time.monotonic() < until:
            self._look()
            evidence.rows(
                self.faulty.stack.admin_dsn("keyring", "keyring"),
                "UPDATE keyring.tag_key SET dies_at = clock_timestamp() WHERE dies_at > clock_timestamp()",
            )
            time.sleep(2)

    def again(self) -> None:
        """Nothing was asked that somebody could have forgotten."""

    def check(self) -> None:
        """Clicks go on, and nobody was counted twice under one key: repeats carry the same tags."""
        await_("a crowd is on the topic", self._seen_again, 90)
        for (kind, key, _), tags in self._tags().items():
            assert len(tags) <= VISITORS, f"{len(tags)} visitors of {VISITORS} in one {kind} under key {key}"

    def _look(self) -> str:
        """Let all visitors view a product that nobody viewed before; return it. Whom the door refuses goes away."""
        product = f"X-{next(self._products)}"
        body = json.dumps({"page_location": f"{ORIGIN}/p/{product}", "events": []})
        for visitor in range(VISITORS):
            headers = {
                "origin": ORIGIN, "content-type": "text/plain",
                "user-agent": f"Mozilla/5.0 (X11; Linux x86_64; rv:{100 + visitor}.0) Gecko/20100101",
            }  # fmt: skip
            try:
                url = f"{self.faulty.stack.gateway_url}/v1/collect?shop={self.shop}"
                httpx.post(url, content=body, headers=headers, timeout=5)
            except httpx.HTTPError:
                time.sleep(0.2)
        return product

    def _seen_again(self) -> bool:
        product = self._look()
        time.sleep(3)
        return any(
            text == product
            for (kind, _, _), tags in self._tags().items()
            if kind is Kind.PRODUCT and len(tags) >= CROWD
            for text in [clicks.text_of(tags)]
        )

    def _tags(self) -> dict[tuple[Kind, int, str], dict[str, tuple[str, str, str]]]:
        """Return by kind, key and cell what each tag brought, of this shop's records on the topic."""
        found: dict[tuple[Kind, int, str], dict[str, tuple[str, str, str]]] = defaultdict(dict)
        for entry in evidence.read(self.faulty.stack, [CLICKS.name]):
            event = CellsSeen.model_validate_json(entry.value or b"")
            for cell in event.cells if event.storefront == self.shop else ():
                found[cell.kind, event.key, cell.id][cell.tag] = (cell.id, cell.share, cell.sealed)
        return found
