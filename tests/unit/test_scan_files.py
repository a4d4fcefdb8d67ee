"""Every file is searched as what it is."""

from pathlib import Path

import pytest

from services.scan.controls import missing, spots
from services.scan.files import CHUNK_BYTES, kind_of, search_files
from services.scan.findings import KINDS, Findings
from services.scan.needles import Matcher
from tests.unit.test_scan_segments import batch

TEXT = "a canary that sings"
MATCHER = Matcher([TEXT])


def places(state: Path) -> list[tuple[str, str, str]]:
    """Return kind, place and form of every find below a directory."""
    return [(find.kind, find.where, find.form) for find in search_files(state, MATCHER).finds]


def write(path: Path, content: bytes) -> None:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kafka/data/orders-3/00000000000000000000.log", "kafka-record"),
        ("kafka/data/orders-3/00000000000000000000.log.deleted", "kafka-record"),
        ("kafka/data/__cluster_metadata-0/00000000000000000000.log", "kafka-record"),
        ("kafka/data/orders-3/00000000000000000000.index", "kafka-file"),
        ("kafka/data/meta.properties", "kafka-file"),
        ("postgres/data/pg_wal/000000010000000000000001", "wal"),
        ("postgres/keyring/base/5/1234", "relation-file"),
        ("postgres/keyring/global/1234", "relation-file"),
        ("postgres/data/pg_xact/0000", "database-file"),
        ("logs/orders-1.log", "log"),
        ("run/orders-1.json", "file"),
        ("client/partners/swift/kit.json", "file"),
    ],
)
def test_a_file_is_known_by_where_it_lies(name, kind):
    """The kind decides how it is read and what it is called."""
    assert kind_of(Path(name)) == kind and kind in KINDS


def test_a_find_names_file_and_position_and_nothing_of_the_content(tmp_path):
    """Never the surrounding text."""
    write(tmp_path / "logs" / "a.log", b"x" * 100 + TEXT.encode() + b"secret")
    assert places(tmp_path) == [("log", "logs/a.log@100", "plain")]


def test_compressed_batches_are_opened_and_named_by_offset(tmp_path):
    """The text itself stands nowhere in such a file."""
    name = "kafka/data/orders-3/00000000000000000000.log"
    write(tmp_path / name, batch(0, 0, b"other") + batch(5, 1, TEXT.encode() * 9))
    assert TEXT.encode() not in (tmp_path / name).read_bytes()
    assert places(tmp_path) == [("kafka-record", f"{name} offset 5 (gzip)", "plain")]


def test_what_follows_the_last_whole_batch_is_searched_too(tmp_path):
    """A batch that is just being written."""
    write(tmp_path / "kafka/data/t-0/0.log", batch(0, 0, b"other") + TEXT.encode())
    ((kind, where, _),) = places(tmp_path)
    assert kind == "kafka-record" and "@" in where


def test_a_batch_that_cannot_be_opened_is_reported(tmp_path):
    """The search must not say that it found nothing."""
    broken = bytearray(batch(0, 4, b"canary " * 50))
    broken[70:80] = b"\xff" * 10
    write(tmp_path / "kafka/data/t-0/0.log", bytes(broken))
    assert search_files(tmp_path, MATCHER).undecoded == ["kafka/data/t-0/0.log offset 0 (zstd)"]


def test_a_text_across_two_pieces_of_a_large_file_is_found(tmp_path):
    """Files are read in pieces."""
    write(tmp_path / "large", b"x" * (CHUNK_BYTES - 5) + TEXT.encode() + b"x" * 100)
    assert places(tmp_path) == [("file", f"large@{CHUNK_BYTES - 5}", "plain")]


def test_holes_are_not_read_and_what_follows_them_is(tmp_path):
    """Kafka's index files are mostly holes."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(50_000_000)
        file.write(TEXT.encode())
        file.truncate(90_000_000)
    findings = search_files(tmp_path, MATCHER)
    assert [find.where for find in findings.finds] == ["sparse@50000000"]
    if path.stat().st_blocks * 512 < 10_000_000:
        assert findings.tallies["file"].bytes < 10_000_000


def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    """Only what the platform wrote is searched."""
    outside = tmp_path / "outside"
    write(outside, TEXT.encode())
    state = tmp_path / "state"
    state.mkdir()
    (state / "link").symlink_to(outside)
    assert places(state) == []


def test_an_unreadable_file_is_reported_and_a_vanished_one_counted(tmp_path, monkeypatch):
    """The search must not say that it found nothing; a file deleted meanwhile holds nothing any more."""
    write(tmp_path / "closed", TEXT.encode())

    def refuse(error):
        def opened(*_):
            raise error

        return opened

    monkeypatch.setattr(Path, "open", refuse(PermissionError()))
    assert search_files(tmp_path, MATCHER).undecoded == ["closed"]
    monkeypatch.setattr(Path, "open", refuse(FileNotFoundError()))
    findings = search_files(tmp_path, MATCHER)
    assert (findings.undecoded, findings.vanished) == ([], 1)


def test_every_kind_of_place_has_a_control():
    """No kind is believed without one."""
    assert {spot.kind for spot in spots({"data": "", "keyring": ""})} == set(KINDS)


def test_a_control_that_is_not_found_is_named():
    """What is lacking says where the search is blind."""
    wanted = spots({"data": "", "keyring": ""})
    assert missing(Findings(), 0, wanted) == wanted
    assert "wal postgres /data/" in [str(spot) for spot in wanted]
