"""Erasures on the whole platform: nobody is passed over, what is held dies later, partners' words are theirs."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.erasure.signing import key_set
from services.erasure.verification import Verified, in_order, verify
from tests.fixtures.carrier import KEEP, Carrier
from tests.fixtures.counted import counted
from tests.fixtures.lethe import LETHE
from tests.fixtures.shop import RECIPIENT, Shop, cancelled, new_id, paid, placed

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 90


@pytest.fixture
def shop(whole_platform, tmp_path):
    """A storefront of this test."""
    return Shop.open(whole_platform.stack, tmp_path)


@pytest.fixture
def carrier(whole_platform, tmp_path):
    """A carrier of this test that delivers nothing unless told to."""
    carrier = Carrier.sign(whole_platform.stack, tmp_path, reports=False).start()
    yield carrier
    carrier.stop()


def until(look: Callable[[], Any], what: str) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if answer := look():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}")


def ask(shop: Shop, subject: str) -> tuple[str, str]:
    """Ask that a person be forgotten; return request and salt."""
    answer = shop.post("/v1/erasures", {"subject": subject}).json()
    return answer["request"], answer["salt"]


def reaches(shop: Shop, request: str, state: str, **more: Any) -> dict[str, Any]:
    """Wait until a request is in a state."""

    def look() -> dict[str, Any] | None:
        found = shop.erasure(request)
        wanted = {"state": state, **more}
        return found if all(found[name] == value for name, value in wanted.items()) else None

    return until(look, f"{state} {more}")


def verified(platform, shop: Shop, request: str) -> Verified:
    """Return the newest certificate, checked with the published keys."""
    keys = key_set((platform.stack.state / "client" / "keys.jwks").read_bytes())
    return verify(shop.certificate(request), keys)


def ordered(shop: Shop, carrier: Carrier, subject: str) -> str:
    """Place and pay an order whose parcel the carrier then has; return the order."""
    order, before = new_id(), len(carrier.labels)
    ship_to = {**RECIPIENT, "delivery_note": KEEP}
    shop.say(placed(subject, order, carrier.name, ship_to=ship_to), paid(subject, order))
    until(lambda: len(carrier.labels) > before, "the label")
    return order


def incomplete(platform, owner: str) -> float:
    """Return how many erasures the erasure worker says an owner has not answered in time."""
    page = httpx.get(platform.stack.health_url("erasure-1") + "/metrics", trust_env=False).text
    return counted(page, "lethe_erasures_incomplete", owner=owner)


def test_a_request_is_incomplete_while_an_owner_is_away_and_completes_when_it_is_back(
    whole_platform, shop, tmp_path: Path
):
    """Its keys are gone all the same; the second request for the person is answered with the first (R3)."""
    subject, order = new_id(), new_id()
    shop.say(placed(subject, order, "nobody"))
    whole_platform.stack.stop_worker("carriers")
    try:
        request, salt = ask(shop, subject)
        found = reaches(shop, request, "incomplete")
        assert found["missing"] == ["carriers"] and found["missing_since"] and found["unreadable_at"]
        assert found["certificate_url"] is None
        until(lambda: incomplete(whole_platform, "carriers") >= 1, "the alarm")
        second, other_salt = ask(shop, subject)
        assert reaches(shop, second, "incomplete")["joined"] == request
    finally:
        whole_platform.stack.add("carriers")
    reaches(shop, request, "certified")
    reaches(shop, second, "certified")
    assert shop.certificate(second) == shop.certificate(request)
    file = tmp_path / "certificate.jws"
    file.write_text(shop.certificate(request))
    keys = str(whole_platform.stack.state / "client" / "keys.jwks")
    for held_salt in (salt, other_salt):
        check = ("verify", str(file), "--keys", keys, "--salt", held_salt, "--subject", subject)
        assert _verify(*check)["valid"]
    assert not _verify(
        "verify", str(file), "--keys", keys, "--salt", new_id(), "--subject", subject, expect=1
    )["valid"]
    content = json.dumps(_verify("verify", str(file), "--keys", keys))
    assert subject not in content and "Customer" not in content


def test_an_open_order_is_delivered_and_its_rest_dies_by_itself(whole_platform, shop, carrier):
    """The end of each ground opens a round of its own, whose certificate supersedes the last (R3, D4)."""
    subject = new_id()
    ordered(shop, carrier, subject)
    request, _ = ask(shop, subject)
    reaches(shop, request, "certified", round=1)
    first = verified(whole_platform, shop, request)
    kept = {(part.ground.value, part.category.value) for part in first.certificate.retained}
    assert ("open-order", "logistics") in kept and ("statutory", "accounting") in kept
    carrier.deliver(next(iter(carrier.labels)))
    until(lambda: set(carrier.revoked.values()), "the revocation")

    def last() -> Verified | None:
        now = verified(whole_platform, shop, request)
        grounds = {part.ground.value for part in now.certificate.retained}
        return now if grounds == {"statutory"} and now.certificate.partners else None

    final = until(last, "the certificate after the order")
    assert final.certificate.round > 1
    assert final.statement.destroyed > first.statement.destroyed
    assert [part.until is not None for part in final.certificate.retained] == [True]
    (word,) = until(lambda: _acknowledged(whole_platform, shop, request), "the partner's word")
    assert (word.partner, word.revoked, word.acknowledged, word.outstanding) == (carrier.name, 1, 1, 0)


def test_a_partners_word_that_comes_late_supersedes_the_certificate(whole_platform, shop, carrier):
    """Listed as outstanding until it comes, never awaited; each certificate holds the hash of the one before."""
    carrier.acknowledges = False
    subject = new_id()
    order = ordered(shop, carrier, subject)
    shop.say(cancelled(subject, order))
    until(lambda: carrier.revoked, "the revocation")
    request, _ = ask(shop, subject)
    reaches(shop, request, "certified")
    before = until(lambda: _with_partner(whole_platform, shop, request), "the partner on the certificate")
    (word,) = before.certificate.partners
    assert (word.acknowledged, word.outstanding) == (0, 1) and word.due_at and word.log_clear_at
    (reference,) = carrier.revoked
    carrier.say("lethe.copy.erased.v1", reference=reference)
    until(lambda: _acknowledged(whole_platform, shop, request), "the partner's word")
    after = verified(whole_platform, shop, request)
    if after.certificate.round == before.certificate.round:
        assert in_order([after, before]) == [before, after]


def _verify(*arguments: str, expect: int = 0) -> Any:
    done = subprocess.run([*LETHE, *arguments, "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout)


def _with_partner(platform, shop: Shop, request: str) -> Verified | None:
    found = verified(platform, shop, request)
    return found if found.certificate.partners else None


def _acknowledged(platform, shop: Shop, request: str) -> Any:
    found = verified(platform, shop, request).certificate.partners
    return found if found and not any(word.outstanding for word in found) else None
