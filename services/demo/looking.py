"""What can be seen before anybody asks to be forgotten: how records ended, what a carrier may read, where a text is."""

from collections.abc import Iterator
from typing import Any

from services.demo import endings
from services.demo.carrier import Carrier
from services.demo.copies import of_subject
from services.demo.counting import RARE, REFUSED
from services.demo.findings import Check
from services.demo.log_reader import is_denied
from services.demo.scene import Scene
from services.demo.thief import steal, unwrapped
from services.demo.waiting import until

SETTLE_SECONDS = 60.0
ENDINGS = ("consumed", "repeated", "dead-lettered", "suppressed")
SHORTEST_LINE = 6
"""Characters that `lethe scan` wants of a text, so that it is not found by chance."""


def carriers_see_their_labels_only(scene: Scene) -> Iterator[Check]:
    """Show a label as its carrier opened it, and what else that carrier asks for and does not get."""
    found = (each.label_with(scene.script.note) for each in scene.carriers)
    label = next((each for each in found if each), {})
    scene.telling.line(f"{label.get('name')}, {label.get('city')}: “{label.get('delivery_note')}”")
    yield Check(
        "label_shows_the_text", bool(label), "a carrier opens its labels with its own private key: your text"
    )
    readable = not any(each.unreadable for each in scene.carriers)
    says = f"a label has what the agreement names and no more: {', '.join(label)}"
    yield Check("label_shows_no_more", readable and "email" not in label, says)
    denied = all(_is_denied(each, "orders") for each in scene.carriers)
    yield Check("carrier_denied_orders", denied, "the same login asks Kafka for `orders`: denied")
    first, last = scene.carriers[0], scene.carriers[-1]
    denied = _is_denied(first, f"partner.{last.name}.shipments")
    yield Check("carrier_denied_other_carrier", denied, "and for the other carrier's labels: denied")


def everything_read_has_ended(scene: Scene) -> Iterator[Check]:
    """Compare, for each worker and topic, the records on Kafka with how its reader says that they ended."""
    found: list[endings.Sum] = []

    def settled() -> bool:
        found[:] = endings.sums(scene.room, scene.room.read(carriers=scene.carrier_names))
        return bool(found) and all(each.holds for each in found)

    held = until(settled, SETTLE_SECONDS)
    for each in found:
        if not each.holds:
            scene.telling.line(
                f"{each.worker} {each.topic}: {each.on_topic} there, {each.read} read, {each.endings}"
            )
    read = sum(each.read for each in found)
    ended = {name: endings.total(found, name) for name in ENDINGS}
    scene.findings.figures["records_read"] = read
    scene.findings.figures |= {f"records_{name.replace('-', '_')}": count for name, count in ended.items()}
    said = " + ".join(f"{count} {name}" for name, count in ended.items() if count)
    workers = len({each.worker for each in found})
    yield Check("read_equals_ended", held, f"{read} records read by {workers} workers = {said}")


def where_the_text_is(scene: Scene) -> Iterator[Check]:
    """Search everything under the state directory for the sceptic's text."""
    yield from scan(scene, "text_nowhere_in_clear", "it travelled, it is stored, and it is in clear nowhere")


def scan(scene: Scene, name: str, says: str) -> Iterator[Check]:
    """Run `lethe scan` with the text, and with what visitors left nothing of, on its standard input."""
    lines = [line for line in scene.script.note.splitlines() if len(line.strip()) >= SHORTEST_LINE]
    visitors = [RARE, REFUSED, scene.browsers.mark]
    ran = scene.room.lethe("scan", "--text-stdin", given="\n".join([*lines, *visitors]))
    finds = [each["text"] for each in ran.answer.get("finds", [])] if isinstance(ran.answer, dict) else []
    searched = ran.code in (0, 1)
    mine = any(number <= len(lines) for number in finds)
    yield Check(name, searched and not mine, f"{says}: {_searched(ran.answer)}")
    theirs = any(number > len(lines) for number in finds)
    says = "nor is what one visitor searched for, nor anything of who refused, nor any browser's user agent"
    yield Check("visitors_left_no_trace", searched and not theirs, says)


def the_thief_copies(scene: Scene) -> Iterator[Check]:
    """Keep every sealed value of the customer, and copy the keyring's database and key files aside."""
    person = scene.script.cast.closed
    records = scene.room.read(carriers=scene.carrier_names)
    scene.copies = of_subject(records, scene.shop.subject(person))
    kinds = {copy.place.rpartition("/")[2] for copy in scene.copies}
    orders = len(scene.shop.of_person[person])
    says = f"{len(scene.copies)} sealed values of {person} ({orders} orders) copied from the topics"
    yield Check("old_copies_kept", kinds == {"basket", "ship_to", "invoice"}, says)
    loot = scene.loot = steal(scene.room.stack, scene.room.state / "tmp" / "thief")
    opened = unwrapped(loot.keys, loot.files)
    complete = bool(opened) and all(copy.kid in opened for copy in scene.copies)
    says = f"keyring database and KEK files copied aside: together they open all {len(opened)} keys of that moment"
    yield Check("thief_has_everything", complete, says)


def _searched(answer: Any) -> str:
    tallies = answer.get("searched", {}) if isinstance(answer, dict) else {}
    places = sum(tally["places"] for tally in tallies.values())
    size_bytes = sum(tally["bytes"] for tally in tallies.values())
    finds = len(answer.get("finds", [])) if tallies else "?"
    return f"{finds} finds in {places} places of {len(tallies)} kinds, {size_bytes / 1e6:.0f} MB, controls found again"


def _is_denied(carrier: Carrier, topic: str) -> bool:
    return is_denied(carrier.settings, topic, f"partner.{carrier.name}.curious")
