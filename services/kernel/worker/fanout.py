"""How an owner obeys `Erase`: its rows by its `rights`, the loop's rows here, the receipt in one transaction."""

from schemas.erasure import Erase, Receipt
from schemas.topics import RECEIPTS
from services.kernel.decision import Outgoing
from services.kernel.fanout.rights import Erasing, Rights
from services.kernel.storage.interface import Transaction
from services.kernel.worker.endings import CONSUMED, REPEATED
from services.kernel.worker.worker import Handled, Received


async def obey(tx: Transaction, owner: str, rights: Rights, received: Received) -> Handled:
    """Carry out one command of the fan-out; commands to others change nothing here."""
    command = received.event
    if not isinstance(command, Erase):
        return Handled(received, REPEATED)
    subject = received.subject
    pairs = frozenset((held.scope, str(held.category)) for held in command.but)
    stored = await tx.remembers(subject)
    outcome = await rights.erase(tx, Erasing(command.request, subject, command.but, tx.at))
    dropped = await tx.forget(subject, pairs)
    await tx.suppress(subject, command.request, command.round, pairs)
    receipt = Receipt(
        request=command.request,
        round=command.round,
        owner=owner,
        stored=stored,
        erased=outcome.erased + dropped,
        anonymised=outcome.anonymised,
        retained=outcome.retained,
        partners=outcome.partners,
        done_at=tx.at,
    )
    return Handled(received, CONSUMED, (*outcome.outgoing, Outgoing(RECEIPTS.name, subject, receipt)))
