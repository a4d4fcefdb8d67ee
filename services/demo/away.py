"""One customer is forgotten while dispatch is away on purpose."""

from collections.abc import Iterator

from services.demo.erasing import (
    CERTIFICATE,
    DONE,
    INCOMPLETE,
    PUBLIC_KEYS,
    STATE_SECONDS,
    ask,
    await_certificate,
    known,
    newest,
    signed_moments,
    status_of,
    times_of,
)
from services.demo.findings import Check
from services.demo.probe import Attempt, Probe, after
from services.demo.scene import Erasing, Scene
from services.demo.waiting import until

MOST_PROBED = 20
"""Keys that the probe asks for at once."""
_ROWS = "SELECT basket, ship_to, invoice FROM orders.orders WHERE subject = '{subject}'"


def erase_while_dispatch_is_away(scene: Scene) -> Iterator[Check]:
    """Stop dispatch, ask, and look: the keys are gone at once, the rest is incomplete, and says who is missing."""
    stopped = scene.room.lethe("down", "carriers")
    yield Check("dispatch_stopped", stopped.code == DONE, "dispatch is stopped on purpose: it cannot answer")
    # A value that travelled on two topics has one key.
    kids = dict.fromkeys(each.kid for each in scene.copies if each.place.endswith("/ship_to"))
    probe = Probe(scene.room, list(kids)[:MOST_PROBED])
    counted = openings(scene)
    probe.start()
    try:
        scene.first = ask(scene, scene.script.cast.closed)
        incomplete = until(lambda: _waits_for_dispatch_alone(scene), STATE_SECONDS)
        probe.attempts.append(probe.ask())
    finally:
        probe.stop()
    yield from _incomplete_checks(scene, incomplete)
    yield from _key_checks(scene, probe.attempts)
    handed_out, counted = sum(each.granted for each in probe.attempts), openings(scene) - counted
    says = f"the keyring's own count of keys opened by carriers, for delivery: {counted}, those and no other"
    yield Check("openings_counted", counted == handed_out, says)


def complete_when_dispatch_is_back(scene: Scene) -> Iterator[Check]:
    """Start dispatch again: it reads what it missed, answers, and the certificate is signed."""
    erasing = known(scene.first)
    scene.room.lethe("up", "carriers")
    certified = await_certificate(scene, erasing)
    seconds = scene.findings.figures["seconds_to_certificate"] = scene.telling.elapsed_seconds
    up = scene.findings.figures.get("platform_up_seconds", 0.0)
    scene.findings.figures["seconds_from_up_to_certificate"] = seconds - up
    yield Check(
        "complete_when_back", certified, f"dispatch is back and has answered: certified, {seconds:.0f} s in"
    )
    if certified:
        scene.findings.figures |= times_of(newest(erasing))
        yield from _saved(scene, erasing)
        yield from _rows_are_gone(scene, erasing)


def _waits_for_dispatch_alone(scene: Scene) -> bool:
    status = status_of(scene, known(scene.first))
    return (status.get("state"), status.get("missing")) == ("incomplete", ["carriers"])


def openings(scene: Scene) -> int:
    """Return how many keys of addresses the keyring has handed to dispatch, by its own count."""
    _, answer = scene.room.keyring("GET", "/v1/openings", "operator")
    asked = {"principal": "carriers", "category": "logistics", "purpose": "delivery"}
    return sum(each["count"] for each in answer["openings"] if asked.items() <= each.items())


def _incomplete_checks(scene: Scene, incomplete: bool) -> Iterator[Check]:
    shown = scene.room.lethe("requests", "show", known(scene.first).request)
    missing = shown.answer.get("missing", [])
    honest = incomplete and shown.code == INCOMPLETE and missing == ["carriers"]
    says = f"the request is INCOMPLETE, missing: {', '.join(missing) or 'nobody'} (exit code {shown.code})"
    yield Check("honestly_incomplete", honest, says)


def _key_checks(scene: Scene, attempts: list[Attempt]) -> Iterator[Check]:
    """Compare what the keyring handed out with what it signed."""
    destroyed_at, unreadable_at = signed_moments(scene, known(scene.first))
    granted, later = [each for each in attempts if each.granted], after(attempts, destroyed_at)
    keys = sum(each.granted for each in later)
    says = f"asked with dispatch's own token: keys {len(granted)} times until destroyed_at, then {len(later)} times"
    yield Check("no_key_after_destroyed_at", bool(granted and later) and not keys, f"{says}: {keys} keys")
    last = max((each.lease_ends_at for each in granted), default=destroyed_at)
    spare_seconds = (unreadable_at - last).total_seconds()
    says = f"the last lease ends {spare_seconds:.2f} s before unreadable_at"
    yield Check("no_lease_after_unreadable_at", last <= unreadable_at, says)


def _saved(scene: Scene, erasing: Erasing) -> Iterator[Check]:
    fetched = scene.room.lethe("certificate", erasing.request, "--out", str(scene.out / CERTIFICATE))
    (scene.out / PUBLIC_KEYS).write_bytes((scene.room.state / "client" / PUBLIC_KEYS).read_bytes())
    yield Check(
        "certificate_fetched", fetched.code == DONE, f"the officer has {CERTIFICATE}, and {PUBLIC_KEYS}"
    )


def _rows_are_gone(scene: Scene, erasing: Erasing) -> Iterator[Check]:
    """Look into the tables themselves."""
    rows = scene.room.rows(_ROWS.format(subject=erasing.subject))
    left = sum(row["basket"] is not None or row["ship_to"] is not None for row in rows)
    kept = sum(row["invoice"] is not None for row in rows)
    yield Check(
        "rows_erased", not left, f"in the tables: no basket, no address; {kept} sealed invoices, kept by law"
    )
