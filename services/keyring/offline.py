"""The living keys for somebody who already holds the keyring's machine: its database and its KEK files.

An operator's act and no principal's right: nothing of it is reached over HTTP. What may be opened is counted first,
under `operator:<login>` and the purpose `scan`, beside what workers opened; no key is handed out, only what a
sealed value says, and no key is used for longer than a lease.
"""

import json
import os
import pwd
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidTag

from schemas.privacy import Category
from services.kernel.errors import ConfigurationError, RejectedRecord, RetryableError
from services.kernel.sealing.jwe import TAG_BYTES, kid_of, seal, unseal
from services.kernel.sealing.keys import DataKey, KeyRef, decoded
from services.kernel.sealing.place import Place, checked, place
from services.keyring.kek import KekFiles
from services.keyring.store import SQL
from services.keyring.wrapping import Bound, Kek

PURPOSE = "scan"
CONTROL = "scan-control"
"""Whose the control's keys are: no subject can be called that."""
_TRIES = 3
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Cabinet:
    """Where the keyring keeps what it has."""

    dsn: str
    """Super user's login to the keyring's database; holds a password."""
    keks: Path

    def __repr__(self) -> str:
        return "Cabinet(…)"


class LivingKeys:
    """Every key that lived at one moment. Its length and repr count people's keys, not the control's."""

    def __init__(self, keys: Mapping[str, DataKey], count: int = 0, broken: int = 0) -> None:
        self._keys = keys
        self._count = count
        self.broken = broken
        """Rows that do not unwrap: somebody altered the database, and nobody opens what is under them."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def __repr__(self) -> str:
        return f"LivingKeys({len(self)})"

    def named(self, token: str) -> str | None:
        """Return what a value says under the key that it names, wherever it lay; None if that does not open it."""
        try:
            key = self._keys.get(kid_of(token))
            return _forced(token, key) if key else None
        except (RejectedRecord, InvalidTag, ValueError):
            return None

    def any(self, token: str) -> str | None:
        """The same with every living key, whatever key the value names."""
        for key in self._keys.values():
            try:
                return _forced(token, key)
            except InvalidTag:
                continue
            except ValueError:
                return None
        return None

    def at(self, token: str, where: str) -> Any:
        """Return the JSON that is sealed in a value for a place; raise `KeyError` where its key does not live."""
        return json.loads(unseal(token, self._keys[kid_of(token)], checked(where)))


def operator() -> str:
    """Return under which name this process's openings are counted: that of its account, which nobody chooses."""
    try:
        return f"operator:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"operator:{os.getuid()}"


async def living_keys(cabinet: Cabinet) -> LivingKeys:
    """Return every living key, counted in the database before it is unwrapped.

    Raises `ConfigurationError("kek-missing")` where a living key's KEK is not there: what lives and cannot be tried
    must not pass for dead.
    """
    for attempt in range(_TRIES):
        async with _connected(cabinet) as connection, connection.transaction():
            rows = await connection.fetch(SQL.every_living_key)
            counts = Counter(dict.fromkeys(Category, 0))
            counts.update(Category(row["category"]) for row in rows if row["subject"] != CONTROL)
            await connection.execute(
                SQL.count_openings, operator(), PURPOSE, list(counts), list(counts.values())
            )
        try:
            return _unwrapped(rows, KekFiles(cabinet.keks))
        except ConfigurationError:
            # A rotation has ended since the rows were read.
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def destroyed(cabinet: Cabinet, kids: Collection[str]) -> frozenset[str]:
    """Return those of these keys that the keyring has destroyed; the others it never had, or they live."""
    async with _connected(cabinet) as connection:
        return frozenset(row["kid"] for row in await connection.fetch(SQL.destroyed_kids, sorted(kids)))


async def plant_controls(cabinet: Cabinet, text: str) -> tuple[str, ...]:
    """Mint a key of every category for the control and return the text sealed under each.

    The KEK of each category must be there. `remove_controls` destroys the keys.
    """
    files = KekFiles(cabinet.keks)
    async with _connected(cabinet) as connection, connection.transaction():
        await connection.execute(SQL.remove_keys_of, CONTROL)
        keys = [
            (DataKey.fresh(), KeyRef(CONTROL, category, CONTROL), version)
            for category, version in (await _primaries(connection)).items()
        ]
        rows = [
            (key.kid, ref.subject, ref.category, ref.scope, version,
             files.load(ref.category, version).wrap(decoded(key.text()), Bound(key.kid, ref, version)))
            for key, ref, version in keys
        ]  # fmt: skip
        await connection.execute(SQL.store_keys, *zip(*rows, strict=True))
    return tuple(seal(key, control_place(ref.category), json.dumps(text).encode()) for key, ref, _ in keys)


def control_place(category: Category) -> Place:
    """Return where the control under a key of this category says that it belongs."""
    return place(CONTROL, category, "text")


async def remove_controls(cabinet: Cabinet) -> None:
    """Remove the control's keys."""
    async with _connected(cabinet) as connection:
        await connection.execute(SQL.remove_keys_of, CONTROL)


def _forced(token: str, key: DataKey) -> str:
    """Return what a value says, wherever it belongs; raise `InvalidTag` for another key, `ValueError` for no value."""
    header, _, nonce, box, tag = token.split(".")
    proof = decoded(tag)
    if len(proof) != TAG_BYTES:
        raise ValueError("no tag")
    return key.cipher.decrypt(decoded(nonce), decoded(box) + proof, header.encode()).decode()


def _unwrapped(rows: Iterable[asyncpg.Record], files: KekFiles) -> LivingKeys:
    keks: dict[tuple[str, int], Kek] = {}
    keys, count, broken = {}, 0, 0
    for row in rows:
        name = (row["category"], row["kek_version"])
        kek = keks[name] = keks.get(name) or files.load(*name)
        ref = KeyRef(row["subject"], Category(row["category"]), row["scope"])
        try:
            keys[row["kid"]] = DataKey(kek.unwrap(row["wrapped"], Bound(row["kid"], ref, row["kek_version"])))
        except RejectedRecord:
            broken += 1
        else:
            count += row["subject"] != CONTROL
    return LivingKeys(keys, count, broken)


async def _primaries(connection: Any) -> dict[Category, int]:
    """Return the version to wrap with, locked so that no rotation retires it meanwhile."""
    for _ in range(_TRIES):
        # Having waited for a rotation, the statement sees the old version gone and the new one not yet.
        rows = await connection.fetch(SQL.share_primary_keks, sorted(Category))
        if len(rows) == len(Category):
            return {Category(row["category"]): row["version"] for row in rows}
    raise RetryableError("kek-rotating")


@asynccontextmanager
async def _connected(cabinet: Cabinet) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        cabinet.dsn, timeout=_TIMEOUT_SECONDS, server_settings={"search_path": "keyring"}
    )
    try:
        yield connection
    finally:
        await connection.close()
