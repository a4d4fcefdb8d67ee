"""After the erasure: everything that somebody with old copies might try to get the customer back."""

import json
from collections.abc import Iterator

from services.demo.copies import Copy, opened_by, opened_by_any
from services.demo.findings import Check
from services.demo.scene import Scene
from services.demo.thief import key_files, unwrapped, wrapped_keys

STATUTORY = "/invoice"
"""Ends the place of what the law keeps: it is not erased yet, and opens as it should."""


def every_old_copy_meets_every_living_key(scene: Scene) -> Iterator[Check]:
    """Try each kept copy with each key that lives, as somebody could who is the keyring itself."""
    living = _living(scene)
    erased, invoices = _erased(scene), [copy for copy in scene.copies if copy.place.endswith(STATUTORY)]
    opened = opened_by_any(erased, living.values())
    tried = scene.findings.figures["keys_tried_on_copies"] = len(erased) * len(living)
    says = f"{len(erased)} old copies × {len(living)} living keys = {tried} attempts: {len(opened)} open"
    yield Check("no_old_copy_opens", bool(tried) and not opened, says)
    kept = [copy for copy in invoices if copy.kid in living and opened_by(copy, living[copy.kid])]
    says = f"the same attempt opens {len(kept)} invoices, which the law keeps, so it is a real one"
    yield Check("attempts_are_real", bool(kept) and len(kept) == len(invoices), says)


def the_thief_comes_back(scene: Scene) -> Iterator[Check]:
    """Open what was stolen with the KEK files of then, rotate, and open it with those that are left."""
    assert scene.loot is not None, "nobody stole anything"
    keys = unwrapped(scene.loot.keys, scene.loot.files)
    texts = [opened_by(copy, keys[copy.kid]) for copy in _erased(scene) if copy.kid in keys]
    shown = sum(_says(text, scene.script.note) for text in texts)
    says = "the thief's copy with the KEK files of then still opens everything, your text too: hence rotation"
    yield Check("old_copy_with_old_files_opens", shown > 0 and None not in texts, says)
    rotated = scene.room.lethe("keys", "rotate")
    says = "every living key is wrapped anew, the old KEK versions are destroyed"
    yield Check("rotated", rotated.code == 0, says)
    opened = unwrapped(scene.loot.keys, key_files(scene.room.stack))
    says = f"the thief's {len(scene.loot.keys)} keys with the KEK files that are left: {len(opened)} open"
    yield Check("old_copy_after_rotation_never_opens", not opened, says)
    living = _living(scene)
    yield Check("living_keys_survive", bool(living), f"everybody else's {len(living)} keys open as before")


def _living(scene: Scene) -> dict[str, bytes]:
    """Return every data key that lives, opened with the KEK files of now."""
    return unwrapped(wrapped_keys(scene.room.stack.clusters["keyring"]), key_files(scene.room.stack))


def _erased(scene: Scene) -> list[Copy]:
    return [copy for copy in scene.copies if not copy.place.endswith(STATUTORY)]


def _says(text: bytes | None, note: str) -> bool:
    return text is not None and json.loads(text).get("delivery_note") == note
