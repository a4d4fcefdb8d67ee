"""The story, as a list that one can recite; each step is a small function that says what must hold."""

import traceback
from collections.abc import Callable, Iterator

from services.demo.attacking import every_old_copy_meets_every_living_key, the_thief_comes_back
from services.demo.away import complete_when_dispatch_is_back, erase_while_dispatch_is_away
from services.demo.closing import the_certificate_is_verified, the_text_is_nowhere, what_is_left
from services.demo.counting import the_day_is_closed, the_merchandisers_page, visitors_look_around
from services.demo.crowd import forget_a_crowd
from services.demo.findings import Check
from services.demo.looking import (
    carriers_see_their_labels_only,
    everything_read_has_ended,
    the_thief_copies,
    where_the_text_is,
)
from services.demo.returning import the_id_turns_up_again
from services.demo.scene import Scene
from services.demo.streaming import deliver_and_close, stream_early_orders
from services.demo.underway import erase_with_an_open_order

Step = Callable[[Scene], Iterator[Check]]

STORY: tuple[tuple[str, Step], ...] = (
    ("Orders stream in, sealed; every carrier gets its labels", stream_early_orders),
    ("A carrier opens its labels, and nothing else", carriers_see_their_labels_only),
    ("Parcels arrive, orders close", deliver_and_close),
    ("Visitors look around, and nobody is followed", visitors_look_around),
    ("The day is closed: numbers of crowds, and nothing else", the_day_is_closed),
    ("What the merchandiser sees", the_merchandisers_page),
    ("What was read = how it ended", everything_read_has_ended),
    ("Where your text is now", where_the_text_is),
    ("A thief copies the keyring, and every sealed value from the topics", the_thief_copies),
    ("The customer asks to be forgotten, while dispatch is away", erase_while_dispatch_is_away),
    ("Dispatch comes back", complete_when_dispatch_is_back),
    ("Another customer is forgotten, with a parcel on its way", erase_with_an_open_order),
    ("Many are forgotten while the shop goes on selling", forget_a_crowd),
    ("Every old copy meets every living key", every_old_copy_meets_every_living_key),
    ("A late order, a record past the gateway, a new key", the_id_turns_up_again),
    ("The thief comes back", the_thief_comes_back),
    ("The certificate", the_certificate_is_verified),
    ("Where your text is, after all of it", the_text_is_nowhere),
    ("What was read = how it ended, once more", everything_read_has_ended),
    ("What is left, and what rests on somebody's word", what_is_left),
)


def tell(scene: Scene) -> None:
    """Go through the story; a step that cannot go on is a failed check of its own, and the end."""
    for heading, step in STORY:
        scene.telling.heading(heading)
        try:
            _take(scene, step)
        except Exception as error:  # noqa: BLE001 - whatever it was, the verdict is written and the platform taken down
            _fail(scene, step, error)
            return
    scene.findings.add([Check("told_to_the_end", True, "")])


def _take(scene: Scene, step: Step) -> None:
    for check in step(scene):
        scene.findings.add([check])
        scene.telling.check(check)


def _fail(scene: Scene, step: Step, error: Exception) -> None:
    failed = Check("told_to_the_end", False, f"{step.__name__} ended with {type(error).__name__}")
    scene.findings.add([failed])
    scene.telling.check(failed)
    # Where, and not what: an exception's own words could quote a value.
    for frame in traceback.extract_tb(error.__traceback__)[-4:]:
        scene.telling.line(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}")
