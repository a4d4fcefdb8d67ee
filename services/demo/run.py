"""One run of the demo: a platform of its own comes up, the story is told on it, the platform is taken down again."""

import hashlib
import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.local import stack, workers
from deploy.local.errors import PlatformUnavailable
from services.demo import browsing, retail
from services.demo.browsing import Browsing
from services.demo.carrier import Carrier
from services.demo.findings import Check, Findings
from services.demo.retail import Retail
from services.demo.room import Ran, Room
from services.demo.scene import Scene, Script, write_script
from services.demo.shop import NAME, Shop
from services.demo.story import tell
from services.demo.telling import Telling
from services.storefront import Lethe

CARRIERS = (("redvan", True), ("bluevan", False))
"""Names, and whether they say when they have forgotten what they should."""
ON_A_LABEL = ("name", "address_lines", "city", "region", "postal_code", "country", "phone", "delivery_note")
"""What the carriers' agreement names: no e-mail address."""
SETTINGS = {
    "orders": {"returns_window_days": "0"},
    "erasure": {"incomplete_after_seconds": "2"},
    "gateway": {"flush_seconds": "1"},
}
"""So that orders close when they are delivered, a silent owner is missed soon, and clicks do not wait for the hour."""
DATA = Path(__file__).parents[3] / "shared" / "data" / "retail"
"""Beside the checkout, where the real days are kept."""
REPORT = "demo.json"
VISITS = 300
"""So many visitors look around: enough for crowds, and for what has none."""


@dataclass(frozen=True)
class Wishes:
    """What the person in front of it wants."""

    out: Path
    note: str
    orders: int | None = None
    """None for as many as the files have."""
    erasures: int = 20
    state: Path | None = None
    """None for a fresh directory."""
    keep: bool = False
    """Leave the state directory where it is; the platform is taken down all the same."""
    data: Path = DATA


def run(wishes: Wishes, telling: Telling) -> Findings:
    """Tell the whole story and write what was found; the platform is gone when this returns or raises."""
    findings = Findings()
    days = orders_of(wishes)
    script, seen = write_script(days, wishes.note, wishes.erasures), visits_of(wishes, days)
    telling.line(f"{days.source}: {len(days.purchases)} orders, {len(days.cancellations)} cancellations")
    telling.line(f"{days.adjustments} stock adjustments, which are no orders")
    telling.line(f"{seen.source}: {len(seen.visits)} visitors, {seen.views} pages")
    wishes.out.mkdir(parents=True, exist_ok=True)
    with _interruptible(), _state(wishes) as state:
        try:
            with (
                _platform(state, telling, findings) as platform,
                _scene(platform, script, seen, findings, telling, wishes) as scene,
            ):
                tell(scene)
        except BaseException:
            findings.add([Check("told_to_the_end", False, "")])
            raise
        finally:
            findings.figures["seconds"] = telling.elapsed_seconds
            findings.write(wishes.out / REPORT)
    return findings


def orders_of(wishes: Wishes) -> Retail:
    """Return the real orders where they are at hand, made-up ones where they are not or where more are wanted."""
    try:
        real = retail.read(wishes.data)
    except FileNotFoundError:
        return retail.generate(wishes.orders or 500)
    if wishes.orders is None:
        return real
    return (
        real.first(wishes.orders) if wishes.orders <= len(real.purchases) else retail.generate(wishes.orders)
    )


def visits_of(wishes: Wishes, days: Retail) -> Browsing:
    """Return what visitors look at: sessions of a public file where it is at hand, made-up ones elsewhere."""
    try:
        return browsing.read(wishes.data.parent, days, VISITS)
    except FileNotFoundError:
        return browsing.generate(days, VISITS)


@contextmanager
def _state(wishes: Wishes) -> Iterator[Path]:
    """Yield a directory for the platform; it is removed at the end unless somebody named it or wants to keep it."""
    state = wishes.state or Path(tempfile.mkdtemp(prefix="demo-", dir=wishes.out.resolve()))
    try:
        yield state
    finally:
        if wishes.state is None and not wishes.keep:
            shutil.rmtree(state, ignore_errors=True)


@contextmanager
def _platform(state: Path, telling: Telling, findings: Findings) -> Iterator[stack.Stack]:
    """Yield a platform of its own, ready; take it down whatever happens."""
    names = ", ".join(each.principal for each in workers.existing())
    telling.heading("A platform of its own comes up: Kafka, two PostgreSQL clusters, and every worker")
    telling.line(names)
    downloaded = [0]

    def fetching(done: int, wanted: int, size_bytes: int) -> None:
        downloaded[0] = size_bytes
        if done == wanted:
            telling.line(f"{wanted} jars fetched, {size_bytes / 1e6:.0f} MB")

    try:
        platform = stack.start(state, settings=SETTINGS, say=telling.line, progress=fetching)
        findings.figures["platform_up_seconds"] = telling.elapsed_seconds
        findings.figures["downloaded_megabytes"] = downloaded[0] / 1e6
        telling.line(f"up in {telling.elapsed_seconds:.1f} s")
        yield platform
    finally:
        _without_interruption(lambda: stack.stop(state))


@contextmanager
def _scene(
    platform: stack.Stack,
    script: Script,
    seen: Browsing,
    findings: Findings,
    telling: Telling,
    wishes: Wishes,
) -> Iterator[Scene]:
    """Let the shop and the carriers in, and yield everything set for the first step."""
    room = Room(platform, telling.command)
    carriers = [Carrier(name, acknowledges=prompt) for name, prompt in CARRIERS]
    with ThreadPoolExecutor() as pool:
        token = pool.submit(_admit_shop, room)
        for joined in [pool.submit(_admit_carrier, room, each) for each in carriers]:
            joined.result()
    client = Lethe(platform.gateway_url, token.result(), on_error=lambda code, ids: None)
    shop = Shop(client, [each.name for each in carriers])
    try:
        yield Scene(room, shop, carriers, script, seen, findings, telling, wishes.out, NAME, token.result())
    finally:
        for each in carriers:
            each.stop()
        client.close(1)


def _admit_shop(room: Room) -> str:
    """Let the shop in; return its token."""
    return str(_answer(room.lethe("storefronts", "add", NAME))["token"])


def _admit_carrier(room: Room, carrier: Carrier) -> None:
    """Add a partner as an operator would, and start it with the login of its kit."""
    folder = room.state / "tmp"
    key, agreement = folder / f"{carrier.name}.jwk", folder / f"{carrier.name}.agreement.json"
    key.write_text(json.dumps(carrier.public_key), "utf-8")
    agreement.write_text(json.dumps(_agreement(carrier.name)), "utf-8")
    added = room.lethe("partners", "add", carrier.name, "--key", str(key), "--agreement", str(agreement))
    carrier.start(_login(Path(_answer(added)["kit"]) / "kcat.conf"))


def _answer(ran: Ran) -> dict[str, Any]:
    if ran.code != 0:
        raise PlatformUnavailable(f"lethe refused to set the scene: exit code {ran.code}")
    return dict(ran.answer)


def _agreement(name: str) -> dict[str, object]:
    now = datetime.now(UTC)
    document = hashlib.sha256(f"agreement with {name}".encode()).hexdigest()
    return {
        "fields": ON_A_LABEL,
        "valid_from": (now - timedelta(days=1)).isoformat(),
        "valid_to": (now + timedelta(days=365)).isoformat(),
        "sha256": document,
        "scope": "shipments",
    }


def _login(path: Path) -> dict[str, str]:
    """Return the settings of a kcat configuration."""
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _without_interruption(act: Callable[[], object]) -> None:
    """Take the platform down even if somebody presses Ctrl-C again."""
    previous = {
        each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        act()
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let whoever ends the demo politely (SIGTERM, SIGHUP) get the same orderly end as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
