"""KEK files and wrapped keys: there completely or not at all, bound to their row, gone when destroyed (T1, T5)."""

import copy
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.privacy import Category
from services.kernel.errors import ConfigurationError, RejectedRecord
from services.kernel.sealing.keys import KeyRef
from services.keyring.kek import KekDirectory, Keks
from services.keyring.wrapping import Bound, Kek

REF = KeyRef("a" * 32, Category.LOGISTICS, "b" * 32)
BOUND = Bound("k" * 43, REF, 1)
KEK = Kek("logistics", 1, bytes(range(32)))
KEY = bytes(32)


@given(material=st.binary(min_size=32, max_size=32))
def test_a_wrapped_key_unwraps_where_it_belongs(material: bytes) -> None:
    wrapped = KEK.wrap(material, BOUND)
    assert KEK.unwrap(wrapped, BOUND) == material
    assert material not in wrapped


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(BOUND, kid="j" * 43),
        replace(BOUND, version=2),
        replace(BOUND, ref=replace(REF, subject="c" * 32)),
        replace(BOUND, ref=replace(REF, scope="c" * 32)),
        replace(BOUND, ref=replace(REF, category=Category.TRANSACTION)),
        # Same letters, other borders: the parts are length-prefixed.
        replace(BOUND, kid="k" * 42, ref=replace(REF, subject="k" + "a" * 32)),
    ],
)
def test_a_wrapped_key_moved_to_another_row_never_unwraps(elsewhere: Bound) -> None:
    with pytest.raises(RejectedRecord, match="unwrapping-failed"):
        KEK.unwrap(KEK.wrap(KEY, BOUND), elsewhere)


def test_no_altered_ciphertext_unwraps() -> None:
    wrapped = KEK.wrap(KEY, BOUND)
    for index in range(len(wrapped)):
        altered = wrapped[:index] + bytes([wrapped[index] ^ 1]) + wrapped[index + 1 :]
        with pytest.raises(RejectedRecord):
            KEK.unwrap(altered, BOUND)
    for length in range(len(wrapped)):
        with pytest.raises(RejectedRecord):
            KEK.unwrap(wrapped[:length], BOUND)


def test_a_kek_shows_only_its_name_and_is_never_copied() -> None:
    assert repr(KEK) == "Kek(logistics.1)"
    for leave in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            leave(KEK)


def test_a_created_version_is_found_again_with_a_private_mode(tmp_path: Path) -> None:
    directory = KekDirectory(tmp_path / "keks")
    made = directory.create("logistics", 1)
    found = KekDirectory(tmp_path / "keks").load("logistics", 1)
    assert found.unwrap(made.wrap(KEY, BOUND), BOUND) == KEY
    assert directory.versions() == {("logistics", 1)}
    assert (tmp_path / "keks").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "keks").iterdir()] == [0o600]


def test_a_version_is_never_replaced(tmp_path: Path) -> None:
    """Keys may rest under it: a second one of the same name would make them unreadable."""
    directory = KekDirectory(tmp_path / "keks")
    made = directory.create("logistics", 1)
    with pytest.raises(FileExistsError):
        directory.create("logistics", 1)
    assert directory.load("logistics", 1).thumbprint == made.thumbprint
    assert directory.versions() == {("logistics", 1)}


def test_a_destroyed_version_is_overwritten_and_gone(tmp_path: Path) -> None:
    directory = KekDirectory(tmp_path / "keks")
    directory.create("logistics", 1)
    path = next((tmp_path / "keks").glob("*.kek"))
    held_open = path.open("rb")
    material = held_open.read()
    directory.destroy("logistics", 1)
    directory.destroy("logistics", 1)
    held_open.seek(0)
    assert held_open.read() != material, "whoever still has the file open reads noise"
    assert not list((tmp_path / "keks").iterdir())
    with pytest.raises(ConfigurationError, match="kek-missing"):
        directory.load("logistics", 1)


def test_what_a_killed_create_left_is_swept_away(tmp_path: Path) -> None:
    directory = KekDirectory(tmp_path / "keks")
    directory.create("logistics", 1)
    (tmp_path / "keks" / "logistics.2.kek.abcd.new").write_bytes(b"half")
    assert KekDirectory(tmp_path / "keks").versions() == {("logistics", 1)}
    assert len(list((tmp_path / "keks").iterdir())) == 1


def test_a_directory_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keks").mkdir(mode=0o755)
    os.chmod(tmp_path / "keks", 0o755)
    with pytest.raises(ConfigurationError, match="readable-by-others"):
        KekDirectory(tmp_path / "keks")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    directory = KekDirectory(tmp_path / "keks")
    directory.create("logistics", 1)
    next((tmp_path / "keks").glob("*.kek")).write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="kek-broken"):
        directory.load("logistics", 1)


def test_another_key_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    keks = Keks(KekDirectory(tmp_path / "keks"))
    made = keks.provider.create("logistics", 1)
    keks.check("logistics", 1, made.thumbprint)
    with pytest.raises(ConfigurationError, match="kek-differs"):
        keks.check("logistics", 1, KEK.thumbprint)


def test_a_version_destroyed_elsewhere_is_forgotten_here(tmp_path: Path) -> None:
    keks = Keks(KekDirectory(tmp_path / "keks"))
    keks.provider.create("logistics", 1)
    assert keks.get("logistics", 1)
    keks.provider.destroy("logistics", 1)
    keks.keep_only([("logistics", 2)])
    with pytest.raises(ConfigurationError, match="kek-missing"):
        keks.get("logistics", 1)
