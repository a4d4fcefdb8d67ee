"""Browsers that look around: each says of every page what the shop's snippet would say of it, and carries nothing."""

import http.client
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote_plus, urlsplit

from services.demo.browsing import PATHS, View, Visit

ORIGIN = "https://bazaar.example"
SEARCH_PARAMETER = "q"
AT_ONCE = 4
REFUSING = {"Sec-GPC": "1"}
"""What a browser says whose user has refused, to every server, about everything (Global Privacy Control)."""
SITE: Mapping[str, Any] = {
    "origins": [ORIGIN],
    "routes": [*PATHS.values(), "/search", "/p/{item}"],
    "search_parameter": SEARCH_PARAMETER,
}
"""What the shop says of its pages: whatever it does not name is not counted by name."""


@dataclass
class Browsers:
    """Browsers of different people, at the gateway's door."""

    gateway: str
    storefront: str
    answers: Counter[int] = field(default_factory=Counter)
    """By HTTP status."""
    mark: str = field(default_factory=lambda: f"Lookaround/{secrets.randbelow(10**9):09}")
    """In the user agent of every browser of this run, so that it can be searched for."""

    def look_around(self, visits: Sequence[Visit], headers: Mapping[str, str] | None = None) -> None:
        """Send every page of these visits, each visit from a browser of its own; side by side, as people come."""
        before = sum(self.answers.values())
        with ThreadPoolExecutor(AT_ONCE) as pool:
            shares = [
                [
                    (f"{before}-{number}", visit)
                    for number, visit in enumerate(visits)
                    if number % AT_ONCE == part
                ]
                for part in range(AT_ONCE)
            ]
            for counted in pool.map(lambda share: self._send(share, headers or {}), shares):
                self.answers += counted

    def _send(self, visits: Iterable[tuple[str, Visit]], headers: Mapping[str, str]) -> Counter[int]:
        answers: Counter[int] = Counter()
        connection = http.client.HTTPConnection(urlsplit(self.gateway).netloc, timeout=30)
        try:
            for name, visit in visits:
                for body in messages(visit):
                    answers[self._post(connection, body, name, headers)] += 1
        finally:
            connection.close()
        return answers

    def _post(
        self,
        connection: http.client.HTTPConnection,
        body: Mapping[str, Any],
        name: str,
        headers: Mapping[str, str],
    ) -> int:
        said = {
            # What sendBeacon says of a text.
            "Content-Type": "text/plain;charset=UTF-8",
            "Origin": ORIGIN,
            "User-Agent": f"Mozilla/5.0 (X11; Linux x86_64; rv:{name}) {self.mark}",
            **headers,
        }
        connection.request("POST", f"/v1/collect?shop={self.storefront}", json.dumps(body), said)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def messages(visit: Visit) -> Iterable[dict[str, Any]]:
    """Yield what the snippet says of each page of a visit, when it is left."""
    addresses = ["", *map(_address, visit)]
    for view, (referrer, location) in zip(visit, pairwise(addresses), strict=True):
        events = [{"name": "view_item", "params": _items(view)}] if view.item else []
        events += [{"name": name, "params": _items(view)} for name in view.done]
        yield {
            "page_location": location,
            "page_referrer": referrer,
            "engagement_time_msec": round(view.seconds * 1_000),
            "events": events,
        }


def _address(view: View) -> str:
    return f"{view.path}?{SEARCH_PARAMETER}={quote_plus(view.term)}" if view.term else view.path


def _items(view: View) -> dict[str, Any]:
    return {"items": [{"item_id": view.item}]} if view.item else {}
