"""`lethe demo`, as a newcomer runs it: it ends well, says what it checked, and leaves nothing behind."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from services.demo.counting import PAGE, PICTURE, RARE, REFUSED
from services.demo.merchandiser import BROWSERS
from services.erasure.signing import key_set
from services.erasure.verification import verify

DEMO_SECONDS = 900
TEXT = "Auf keinen Fall stürzen: Großmutters Vase, „Meißen“, bitte 3× klingeln."
CHECKS = {
    "orders_accepted", "labels_arrived", "label_shows_the_text", "label_shows_no_more", "carrier_denied_orders",
    "carrier_denied_other_carrier", "cancelled", "closed", "read_equals_ended", "text_nowhere_in_clear",
    "old_copies_kept", "thief_has_everything", "dispatch_stopped", "honestly_incomplete",
    "no_key_after_destroyed_at", "no_lease_after_unreadable_at", "complete_when_back", "certificate_fetched",
    "rows_erased", "open_order_kept", "parcel_on_its_way", "open_order_delivered", "rest_died_by_itself",
    "certificate_superseded", "crowd_certified", "everything_closed", "dead_letters_are_the_unknown",
    "no_old_copy_opens", "attempts_are_real", "late_order_refused", "record_past_the_gateway_suppressed",
    "no_new_key", "old_copy_with_old_files_opens", "rotated", "old_copy_after_rotation_never_opens",
    "living_keys_survive", "certificate_verified", "changed_certificate_refused", "text_nowhere_after_all",
    "openings_counted", "only_the_law_keeps", "no_old_kek_is_left", "told_to_the_end",
    "pages_taken", "refusal_not_read", "order_event_refused", "statistics_exact", "nothing_counted_twice",
    "rare_search_unpublished", "hot_is_what_many_view", "numbers_are_for_their_readers", "page_shows_it",
    "visitors_left_no_trace",
}  # fmt: skip
"""Every one must have been made: a check that is left out says nothing."""


@dataclass
class Ran:
    """One finished run."""

    code: int
    said: str
    out: Path

    @property
    def report(self) -> dict[str, dict[str, object]]:
        written: dict[str, dict[str, object]] = json.loads((self.out / "demo.json").read_text())
        return written


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """The demo with a text of the sceptic's own, on some of the orders."""
    folder = tmp_path_factory.mktemp("demo")
    note, out = folder / "note.txt", folder / "build"
    note.write_text(TEXT, "utf-8")
    command = [*_lethe_demo(out), "--note", str(note), "--orders", "120", "--erasures", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEMO_SECONDS, env=_plain())
    yield Ran(done.returncode, done.stdout + done.stderr, out)


def test_every_check_of_the_demo_was_made_and_holds(ran: Ran) -> None:
    """The story of an erasure, with everything that somebody might try against it (R3, T1, D2, D4)."""
    failed = [name for name, passed in ran.report["checks"].items() if not passed]
    assert not failed, ran.said
    assert set(ran.report["checks"]) == CHECKS
    assert ran.code == 0


def test_the_demo_measures_itself(ran: Ran) -> None:
    """Figures are numbers, and the story took place in an order that time allows."""
    figures = ran.report["figures"]
    assert all(isinstance(value, int | float) for value in figures.values())
    assert figures["verified_to_destroyed_seconds"] <= figures["verified_to_certified_seconds"]
    assert figures["crowd_erasures"] == 5
    assert figures["records_suppressed"] == 1


def test_certificate_and_public_keys_stay_and_hold(ran: Ran) -> None:
    """Whoever has the two files needs nothing of ours to check them but the format."""
    keys = key_set((ran.out / "keys.jwks").read_bytes())
    verified = verify((ran.out / "certificate.jws").read_text().strip(), keys)
    assert not verified.certificate.keyring.keks_pending or verified.certificate.round == 1
    assert b'"d"' not in (ran.out / "keys.jwks").read_bytes()


def test_the_text_stands_in_nothing_that_stays(ran: Ran) -> None:
    """What is left behind are verdicts, certificates, public keys and a page of crowds."""
    left = [path for path in ran.out.rglob("*") if path.is_file()]
    assert {path.suffix for path in left} - {".png"} == {".json", ".jws", ".jwks", ".html"}
    assert not [path for path in left if TEXT.encode() in path.read_bytes()]


def test_the_merchandisers_page_stays_and_stands_alone(ran: Ran) -> None:
    """It has charts, needs nothing from anywhere, and shows what crowds did, not what one visitor did (U3)."""
    page = (ran.out / PAGE).read_text("utf-8")
    assert "<style>" in page and "<svg" in page and "<script" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert RARE not in html.unescape(page) and REFUSED not in html.unescape(page)
    if any(map(shutil.which, BROWSERS)):
        assert (ran.out / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_the_story_is_told_in_plain_lines_without_a_terminal(ran: Ran) -> None:
    """The sceptic's text is on the label, every check is a sentence, and no control sequence is in the log."""
    assert TEXT in ran.said
    assert ran.said.count("   ok    ") == len(CHECKS) + 1  # two are made twice, one says nothing
    assert "\x1b" not in ran.said


def test_the_demo_leaves_no_process(ran: Ran) -> None:
    """Neither the platform nor the server that the thief has started."""
    assert not _processes_below(ran.out)


def test_a_demo_that_is_interrupted_takes_its_platform_down(tmp_path: Path) -> None:
    """Ctrl-C in the middle: no process, no state directory, and a verdict that says it did not end."""
    out = tmp_path / "build"
    process = subprocess.Popen(
        _lethe_demo(out), stdout=subprocess.PIPE, text=True, env=_plain(), preexec_fn=_heeding_interrupts
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Orders stream in" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 130
    assert not _processes_below(out)
    assert [path.name for path in out.iterdir()] == ["demo.json"]
    assert json.loads((out / "demo.json").read_text())["checks"]["told_to_the_end"] is False


def _lethe_demo(out: Path) -> list[str]:
    return [sys.executable, "-m", "services.cli", "demo", "--out", str(out)]


def _heeding_interrupts() -> None:
    """Undo what a shell does to what it runs in the background: a child would ignore Ctrl-C as these tests do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}


def _processes_below(folder: Path) -> list[str]:
    """Return processes that work in the folder, or were started with it."""
    return [name for each in psutil.process_iter() if (name := _name_if_below(each, str(folder)))]


def _name_if_below(process: psutil.Process, folder: str) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            return ""
        said = [process.cwd(), *process.cmdline(), *process.environ().values()]
        return process.name() if any(folder in each for each in said) else ""
    except psutil.Error:
        return ""
