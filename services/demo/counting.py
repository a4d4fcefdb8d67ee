"""Visitors look around: what of it can be counted, what cannot, and that nobody could be followed."""

import json
import time
from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families

from schemas.clicks import CROWD, Kind
from schemas.topics import CLICKS, STATISTICS
from services.demo import merchandiser, tallies
from services.demo.browsing import View, Visit
from services.demo.findings import Check
from services.demo.scene import Scene
from services.demo.visitors import ORIGIN, REFUSING, SITE, Browsers
from services.demo.waiting import until

PAGE, PICTURE = "insights.html", "insights.png"
RARE = "grandmother's brass telescope"
"""What one visitor searches for, and nobody else."""
REFUSED = "a lantern for the lighthouse keeper"
"""What a visitor searches for who has refused to be counted."""
SETTLE_SECONDS = 3.0
"""Longer than a crowd waits here before it leaves."""
PATIENCE_SECONDS = 90.0


def visitors_look_around(scene: Scene) -> Iterator[Check]:
    """Send every page that visitors look at, of one who searches for something rare, and of one who refuses."""
    _say_what_may_be_counted(scene)
    browsers = scene.browsers = Browsers(scene.room.stack.gateway_url, scene.storefront)
    rare: Visit = (View("/", 5), View("/search", 20, term=RARE))
    visits, began = (*scene.browsing.visits, rare), time.monotonic()
    browsers.look_around(visits)
    pages, seconds = sum(map(len, visits)), time.monotonic() - began
    scene.findings.figures |= {"pages_taken": pages, "pages_per_second": pages / seconds}
    says = f"{pages} pages of {len(visits)} visitors taken, without a cookie, a storage or an identifier"
    yield Check("pages_taken", browsers.answers == {202: pages}, says)
    yield _whoever_refuses(scene)
    yield _an_order_event(scene)


def the_day_is_closed(scene: Scene) -> Iterator[Check]:
    """Close the windows, and compare what is published with the records, opened with what they bring themselves."""
    _await_departures(scene)
    began = time.monotonic()
    closed = scene.room.lethe("statistics", "close")
    published = until(lambda: bool(tallies.dropped(scene.room.read((STATISTICS,)))), PATIENCE_SECONDS)
    records = scene.room.read((CLICKS, STATISTICS))
    told = scene.told = tallies.told(records)
    figures = {"numbers_published": len(told), "closing_seconds": time.monotonic() - began}
    scene.findings.figures |= {**figures, "contributions_dropped": sum(tallies.dropped(records))}
    exact = bool(told) and told == tallies.floored(tallies.visitors(records))
    says = f"{len(told)} numbers published, none of fewer than {CROWD} visitors: what a count of the records gives, too"
    yield Check("statistics_exact", closed.code == 0 and published and exact, says)
    most = tallies.really_there(scene.browsing.visits)
    known = {name: count for name, count in told.items() if name[0] in (Kind.PRODUCT, Kind.SEARCH)}
    within = bool(known) and all(count <= most[kind, cell] for (kind, _, cell), count in known.items())
    yield Check("nothing_counted_twice", within, "and never more than the visitors who were really there")
    searches = {cell for kind, _, cell in told if kind == Kind.SEARCH}
    says = (
        f"{len(searches)} searches are published, “{RARE}” is not: what one person does is nobody's business"
    )
    yield Check("rare_search_unpublished", bool(searches) and RARE not in searches, says)


def the_merchandisers_page(scene: Scene) -> Iterator[Check]:
    """Sign in as the shop's merchandiser, save the page, and ask the API for the same."""
    token = str(scene.room.lethe("insights", "add", scene.storefront).answer.get("token", ""))
    url = scene.room.stack.insights_url
    until(lambda: bool(merchandiser.hot(url, token)), PATIENCE_SECONDS)
    hot = merchandiser.hot(url, token)
    products = {cell: count for (kind, _, cell), count in scene.told.items() if kind == Kind.PRODUCT}
    first = bool(hot) and products.get(hot[0]) == max(products.values())
    says = f"hot products, made of published numbers alone: {', '.join(hot[:3])}"
    yield Check("hot_is_what_many_view", first and products.keys() >= {*hot}, says)
    says = "the shop's token that places orders does not read them"
    yield Check("numbers_are_for_their_readers", merchandiser.hot(url, scene.token) == [], says)
    page, picture = scene.out / PAGE, scene.out / PICTURE
    page.write_text(merchandiser.saved(url, token), "utf-8")
    text = page.read_text("utf-8")
    shown = bool(hot) and hot[0] in text and RARE not in text and "<script" not in text
    says = f"what the merchandiser sees is in {page.name}; it needs no JavaScript"
    yield Check("page_shows_it", shown, says)
    if merchandiser.draw(page, picture):
        scene.telling.line(f"and as a browser draws it in {picture.name}")


def _say_what_may_be_counted(scene: Scene) -> None:
    path = scene.room.state / "tmp" / "site.json"
    path.write_text(json.dumps(SITE), "utf-8")
    scene.room.lethe("sites", "set", scene.storefront, "--file", str(path))


def _whoever_refuses(scene: Scene) -> Check:
    refusing = Browsers(scene.browsers.gateway, scene.storefront, mark=scene.browsers.mark)
    before = _metric(scene, "clicks_dropped_total", "refused")
    visit: Visit = (View("/", 5), View("/search", 20, term=REFUSED), View("/catalog", 5))
    refusing.look_around((visit,), REFUSING)
    counted = _metric(scene, "clicks_dropped_total", "refused") - before
    held = refusing.answers == {204: len(visit)} and counted == len(visit)
    says = f"a visitor refuses with `Sec-GPC: 1`: {len(visit)} pages not read, and counted as refusals only"
    return Check("refusal_not_read", held, says)


def _an_order_event(scene: Scene) -> Check:
    told = httpx.post(
        f"{scene.browsers.gateway}/v1/collect?shop={scene.storefront}",
        content=json.dumps({"event": "purchase", "user_id": "4711", "ecommerce": {"items": []}}),
        headers={
            "content-type": "text/plain",
            "origin": ORIGIN,
            "user-agent": f"Mozilla/5.0 {scene.browsers.mark}",
        },
    )
    code = told.json().get("code") if told.status_code == 422 else told.status_code
    says = f"a purchase is no business of this stream: refused by name ({code})"
    return Check("order_event_refused", told.status_code == 422 and code == "order-event", says)


def _await_departures(scene: Scene) -> None:
    """Wait until no crowd leaves any more; whoever is left waits for the end of the hour, and comes too late."""
    seen, since = -1.0, time.monotonic()

    def quiet() -> bool:
        nonlocal seen, since
        sent = _metric(scene, "cells_sent_total")
        if sent != seen:
            seen, since = sent, time.monotonic()
        return sent > 0 and time.monotonic() - since > SETTLE_SECONDS

    until(quiet, PATIENCE_SECONDS)


def _metric(scene: Scene, name: str, label: str = "") -> float:
    """Return a number of the gateway's metrics, of one label if one is given; 0 where it is not there yet."""
    page = httpx.get(scene.room.stack.health_url("gateway-1") + "/metrics", timeout=10).text
    samples = (each for family in text_string_to_metric_families(page) for each in family.samples)
    return sum(
        each.value
        for each in samples
        if each.name == f"lethe_{name}" and (not label or label in each.labels.values())
    )
