"""Another customer is forgotten while a parcel is still on its way."""

from collections.abc import Iterator

from schemas.holds import Ground
from services.demo.erasing import DONE, PUBLIC_KEYS, STATE_SECONDS, ask, await_certificate, issued, retained
from services.demo.findings import Check
from services.demo.scene import DOORSTEP, Erasing, Scene
from services.demo.streaming import deliver
from services.demo.waiting import until
from services.erasure.verification import read_certificate

_STAGES = "SELECT DISTINCT stage FROM orders.orders WHERE subject = '{subject}'"


def erase_with_an_open_order(scene: Scene) -> Iterator[Check]:
    """Ask: all but the open order goes; the parcel still arrives, then what it needed dies by itself."""
    person = scene.script.cast.open
    erasing = scene.second = ask(scene, person)
    certified = await_certificate(scene, erasing)
    held = retained(erasing, Ground.OPEN_ORDER) if certified else []
    says = f"{person} is forgotten but for one open order: {' and '.join(part.category for part in held)} are held"
    yield Check("open_order_kept", len(held) == 2 and all(len(part.scopes) == 1 for part in held), says)
    yield from _delivered(scene, erasing)
    yield from _died_by_itself(scene, erasing)


def _delivered(scene: Scene, erasing: Erasing) -> Iterator[Check]:
    holder = next((each for each in scene.carriers if each.label_with(DOORSTEP)), None)
    says = f"{holder.name if holder else 'nobody'} still has that one label, and nobody stops the parcel"
    yield Check("parcel_on_its_way", holder is not None, says)
    deliver(scene, but="")
    closed = until(lambda: _stages(scene, erasing) == ["closed"], STATE_SECONDS)
    yield Check("open_order_delivered", closed, "it is delivered and its order closed, as for everybody else")


def _died_by_itself(scene: Scene, erasing: Erasing) -> Iterator[Check]:
    again = await_certificate(scene, erasing, rounds=2)
    grounds = {part.ground for part in retained(erasing)}
    says = "nobody asked again: the keys died with the order; invoices alone are held, by law"
    yield Check("rest_died_by_itself", again and grounds == {Ground.STATUTORY}, says)
    says = "round 2 has a certificate of its own: each supersedes the one before, verified as one chain"
    yield Check("certificate_superseded", again and _is_chain(scene, erasing), says)


def _is_chain(scene: Scene, erasing: Erasing) -> bool:
    """Verify every certificate of the request together: each supersedes the one before, over both rounds."""
    certificates = issued(scene, erasing)
    paths = [scene.out / f"certificate-open-order-{number}.jws" for number, _ in enumerate(certificates, 1)]
    for path, certificate in zip(paths, certificates, strict=True):
        path.write_text(certificate + "\n", "ascii")
    ran = scene.room.lethe("verify", *map(str, paths), "--keys", str(scene.out / PUBLIC_KEYS))
    rounds = {read_certificate(certificate).round for certificate in certificates}
    return ran.code == DONE and len(ran.answer.get("chain", [])) == len(paths) and rounds == {1, 2}


def _stages(scene: Scene, erasing: Erasing) -> list[str]:
    return [row["stage"] for row in scene.room.rows(_STAGES.format(subject=erasing.subject))]
