"""The keyring over HTTP: mint, and open on a lease. The wire is described in `services/keyring/api.py`."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from schemas.privacy import Category, Purpose
from services.kernel.clock import Clock, SystemClock
from services.kernel.errors import ConfigurationError, KeyringUnavailable
from services.kernel.sealing.batching import Batching
from services.kernel.sealing.interface import MOST_PER_CALL, Minted, Refused, SubjectState
from services.kernel.sealing.keys import DataKey, Erased, KeyRef, decoded
from services.kernel.sealing.lease import LEASE_SECONDS, Answer, Lease, Opened, Unopenable, Want, kids_of
from services.kernel.sealing.tagging import TagKey
from services.kernel.sealing.wire import KeptConnections, Wire

CALL_SECONDS = 5.0
Observe = Callable[[str, float], None]
"""Hears of every call: `mint`, `open` or `tag-key`, and how many seconds it took, answered or not."""


class HttpKeyring:
    """A `Keyring` client; one per process, closed by its owner. Safe for concurrent use by many tasks."""

    def __init__(
        self,
        url: str,
        token: SecretStr,
        clock: Clock | None = None,
        *,
        authority: Path | None = None,
        observe: Observe = lambda call, seconds: None,
        wire: Wire | None = None,
    ) -> None:
        """`authority` vouches for the keyring's certificate; `wire` replaces the network in tests."""
        headers = {
            "authorization": f"Bearer {token.get_secret_value()}",
            "content-type": "application/json",
        }
        # It knows no proxy and no .netrc of the environment: nobody else may see keys pass.
        self._wire = wire or KeptConnections(url, headers, CALL_SECONDS, authority)
        self._clock = clock or SystemClock()
        self._observe = observe
        self._minting: dict[str, Batching[KeyRef | str, DataKey | Refused | SubjectState]] = {}

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        for batching in self._minting.values():
            await batching.close()
        await self._wire.close()

    async def mint(self, storefront: str, refs: Sequence[KeyRef], subjects: Sequence[str] = ()) -> Minted:
        """Ask for fresh keys, together with whoever else in this process asks for the same storefront.

        Who asks for nothing learns whether the keyring serves.
        """
        if not refs and not subjects:
            await self._mint(storefront, ())
            return Minted(())
        if storefront not in self._minting:
            self._minting[storefront] = Batching(lambda items: self._mint(storefront, items), MOST_PER_CALL)
        answers = await self._minting[storefront].ask([*refs, *subjects])
        keys, states = answers[: len(refs)], answers[len(refs) :]
        return Minted(tuple(keys), tuple(states))  # type: ignore[arg-type]

    @asynccontextmanager
    async def lease(self, purpose: Purpose, wants: Sequence[Want]) -> AsyncIterator[Lease]:
        """Open the keys of these values for the length of the block."""
        sent_at, seconds = self._clock.monotonic(), LEASE_SECONDS
        kids = kids_of(list(wants))
        answers: dict[str, Answer] = {}
        for start in range(0, len(kids), MOST_PER_CALL):
            part = kids[start : start + MOST_PER_CALL]
            body = await self._call("open", {"purpose": purpose, "kids": part})
            try:
                seconds = min(seconds, float(body["lease_seconds"]))
                answers.update(_opened(part, body["keys"]))
            except (KeyError, TypeError, ValueError):
                raise broken_contract() from None
        lease = Lease(answers, self._clock, sent_at, seconds)
        try:
            yield lease
            lease.check()
        finally:
            lease.drop()

    async def tag_key(self) -> TagKey:
        """Ask for the tag key; its life is counted from the moment of asking, so that it never ends too late here."""
        asked_at = self._clock.monotonic()
        body = await self._call("tag-key", {})
        try:
            return TagKey(
                body["number"], decoded(body["key"]), float(body["dies_in_seconds"]), self._clock, asked_at
            )
        except (KeyError, TypeError, ValueError):
            raise broken_contract() from None

    async def _mint(
        self, storefront: str, items: Sequence[KeyRef | str]
    ) -> Sequence[DataKey | Refused | SubjectState]:
        refs = [item for item in items if isinstance(item, KeyRef)]
        subjects = [item for item in items if isinstance(item, str)]
        keys = [{"subject": ref.subject, "category": ref.category, "scope": ref.scope} for ref in refs]
        body = await self._call("mint", {"storefront": storefront, "keys": keys, "subjects": subjects})
        try:
            if len(body["keys"]) != len(refs) or len(body["subjects"]) != len(subjects):
                raise broken_contract()
            minted = iter([_minted(each) for each in body["keys"]])
            states = iter([SubjectState(each) for each in body["subjects"]])
        except (KeyError, TypeError, ValueError):
            raise broken_contract() from None
        return [next(minted) if isinstance(item, KeyRef) else next(states) for item in items]

    async def _call(self, call: str, question: dict[str, Any]) -> Any:
        began = self._clock.monotonic()
        try:
            status, content = await self._wire.post("/v1/" + call, orjson.dumps(question))
        finally:
            self._observe(call, self._clock.monotonic() - began)
        if status in (401, 403):
            raise ConfigurationError("keyring-refused", status=status, route=call)
        if status == 429 or status >= 500:
            raise KeyringUnavailable("keyring-not-serving", status=status)
        if status != 200:
            raise ConfigurationError("keyring-contract", status=status, route=call)
        try:
            return orjson.loads(content)
        except ValueError:
            # Its exception would carry the document, and the document keys.
            raise broken_contract() from None


def _minted(answer: dict[str, str]) -> DataKey | Refused:
    if "refused" in answer:
        return Refused(answer["refused"])
    key = DataKey.of_text(answer["key"])
    if key.kid != answer["kid"]:
        raise broken_contract()
    return key


def _opened(kids: Sequence[str], answers: Sequence[dict[str, str]]) -> dict[str, Answer]:
    if len(kids) != len(answers):
        raise broken_contract()
    found: dict[str, Answer] = {}
    for kid, answer in zip(kids, answers, strict=True):
        if answer.get("refused") == "erased":
            found[kid] = Erased(kid)
        elif "refused" in answer:
            found[kid] = Unopenable()
        else:
            found[kid] = _checked(kid, answer)
    return found


def _checked(kid: str, answer: dict[str, str]) -> Answer:
    """Take the key only if it is the one that was asked for: its id is computed from its bytes."""
    key = DataKey.of_text(answer["key"])
    if key.kid != kid:
        raise broken_contract()
    return Opened(key, KeyRef(answer["subject"], Category(answer["category"]), answer["scope"]))


def broken_contract() -> ConfigurationError:
    """Return the error of an answer that no keyring of ours gives."""
    return ConfigurationError("keyring-contract")
