"""The second half of a search: what the sealed values say that were found, under every key that still lives.

Values are collected first; only then are keys counted, unwrapped, used and dropped, all in this process's memory:
neither a key nor an opened value is ever written.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from services.kernel.errors import RejectedRecord
from services.kernel.sealing.jwe import kid_of
from services.kernel.sealing.keys import decoded
from services.kernel.sealing.lease import LEASE_SECONDS
from services.keyring.offline import CONTROL, Cabinet, LivingKeys, destroyed, living_keys
from services.scan.findings import SEALED, Find, Inside
from services.scan.needles import Matcher
from services.scan.tables import blocking
from services.scan.tokens import TokenCollector

MOST_TRIES = 2_000_000
"""Every key is tried on every value that its own does not open, up to so many tries: some seconds."""


class Opener:
    """Opens values with the keys that live; keys are fetched again, and counted again, before a lease is over."""

    def __init__(self, cabinet: Cabinet) -> None:
        self._cabinet = cabinet
        self._fetched_at = 0.0
        self._keys = LivingKeys({})

    @property
    def keys(self) -> LivingKeys:
        """The living keys, none of them older than a lease: a destroyed one is not used for longer than anybody may."""
        if time.monotonic() - self._fetched_at >= LEASE_SECONDS or not self._fetched_at:
            # Counted from before they are asked for, as every lease is.
            self._fetched_at = time.monotonic()
            self._keys = blocking(living_keys(self._cabinet))
        return self._keys

    def text(self, token: str) -> str | None:
        """Return what a value says under its own key."""
        return self.keys.named(token)

    def forced(self, tokens: Iterable[str]) -> dict[str, str]:
        """Return what these values say under any key at all."""
        texts = ((token, self.keys.any(token)) for token in tokens)
        return {token: text for token, text in texts if text is not None}


def search_inside(
    cabinet: Cabinet, matcher: Matcher, collector: TokenCollector, finds: Sequence[Find]
) -> tuple[list[Find], Inside]:
    """Open what was collected and search it; return where texts stand inside, and what could not be opened.

    Controls, of this search and of earlier ones, are opened and searched like all others and left out of the counts.
    """
    opener = Opener(cabinet)
    tokens = collector.tokens
    texts = {token: text for token in tokens if (text := opener.text(token)) is not None}
    shut = [token for token in tokens if token not in texts]
    every = len(shut) * len(opener.keys) <= MOST_TRIES
    texts |= opener.forced(shut) if every else {}
    inside = _counted(cabinet, opener.keys, tokens, texts)
    inside.pieces, inside.every_key_tried = collector.pieces, every
    matches = {
        number: [(match.needle, match.form) for match in matcher.matches(texts[token].encode())]
        for number, token in enumerate(tokens)
        if token in texts
    }
    return list(_inner_finds(tokens, matches, finds)), inside


def _inner_finds(
    tokens: Sequence[str], matches: dict[int, list[tuple[int, str]]], finds: Sequence[Find]
) -> Iterator[Find]:
    for find in finds:
        for needle, form in matches.get(find.needle, ()):
            where = f"{place_of(tokens[find.needle])} in {find.kind} {find.where} ({find.form})"
            yield Find(SEALED, where, form, needle)


def _counted(cabinet: Cabinet, keys: LivingKeys, tokens: Sequence[str], texts: Mapping[str, str]) -> Inside:
    theirs = [token for token in tokens if not place_of(token).startswith(f"{CONTROL}/")]
    kids = [_kid_of(token) for token in theirs if token not in texts]
    dead = blocking(destroyed(cabinet, set(kids)))
    why = Counter(_why(kid, dead, keys) for kid in kids)
    return Inside(
        values=len(theirs), opened=len(theirs) - len(kids), dead=why["dead"], foreign=why["foreign"],
        damaged=why["damaged"], keys=len(keys), broken_keys=keys.broken,
    )  # fmt: skip


def _why(kid: str, dead: frozenset[str], keys: LivingKeys) -> str:
    if kid in dead:
        return "dead"
    return "damaged" if kid in keys or not kid else "foreign"


def _kid_of(token: str) -> str:
    try:
        return kid_of(token)
    except RejectedRecord:
        return ""


def place_of(token: str) -> str:
    """Return where a value says that it belongs: collection, id and field; nothing of it is personal."""
    try:
        header = decoded(token.partition(".")[0]).decode("ascii")
    except ValueError:
        return "?"
    return header.partition('"place":"')[2].partition('"')[0] or "?"
