"""One search: plant controls, look everywhere, believe the result only if every control was found."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import asyncpg
from confluent_kafka import KafkaException

from deploy.local.errors import PlatformUnavailable
from deploy.local.stack import Stack
from services.kernel.errors import LetheError
from services.keyring.offline import Cabinet, plant_controls, remove_controls
from services.scan import controls
from services.scan.files import search_files
from services.scan.findings import Findings, merged
from services.scan.inside import search_inside
from services.scan.needles import Matcher, Searcher
from services.scan.processes import pages_of, search_pages, search_processes
from services.scan.tables import Dsns, blocking, execute, search_tables
from services.scan.tokens import TokenCollector

Source = Callable[[Searcher], Findings]
"""Somewhere to look."""


class ScanUnproven(PlatformUnavailable):
    """The search cannot be trusted: a control was not found again, or a place could not be read."""


def scan(
    stack: Stack, needles: Sequence[str], also: Sequence[Source] = (), *, inside: bool = False
) -> Findings:
    """Search everything below the state directory, and what its processes show, for these texts.

    With `inside`, every sealed value that is found is opened with every key that still lives, and what it says is
    searched, too; the keyring counts that under the operator's name. Blocks for some seconds to minutes; several
    texts cost a pass each. May be called while everything runs: what is written meanwhile may or may not be seen.
    Raises `NeedleTooShort`, and `ScanUnproven` where the search could not show that it would have found the texts.
    """
    dsns = dsns_of(stack)
    control = controls.new_control()
    matcher = Matcher([*needles, control])
    with _alone(stack), _nothing_unproven(), ExitStack() as planting:
        sealed = planting.enter_context(_sealed(stack, control)) if inside else ()
        page = planting.enter_context(controls.planted(stack, dsns, control, sealed))
        sources = [*sources_of(stack, dsns, {controls.NAME: page}), *also]
        findings = look(dsns, sources, matcher)
        if inside:
            findings = _with_inside(findings, stack, dsns, sources, matcher)
    wanted = [*controls.spots(dsns), *(controls.sealed_spots(dsns) if inside else ())]
    return _believed(findings, len(needles), wanted)


def sources_of(stack: Stack, dsns: Dsns, more_pages: Mapping[str, str] | None = None) -> list[Source]:
    """Return everywhere that a platform can leave something."""
    return [
        partial(search_tables, dsns),
        partial(search_pages, {**pages_of(stack), **(more_pages or {})}),
        partial(search_processes, stack),
        partial(search_files, stack.state),
    ]


def dsns_of(stack: Stack) -> Dsns:
    """Return the super user's way into both clusters."""
    return {"data": stack.admin_dsn("data"), "keyring": stack.admin_dsn("keyring", "keyring")}


def cabinet_of(stack: Stack) -> Cabinet:
    """Return where a platform's keyring keeps its keys."""
    return Cabinet(stack.admin_dsn("keyring", "keyring"), stack.layout.keks)


def look(dsns: Dsns, sources: Sequence[Source], searcher: Searcher) -> Findings:
    """Look everywhere once."""
    # PostgreSQL writes to its files late; Kafka has handed everything to the system already.
    execute(dsns, "CHECKPOINT")
    return merged(source(searcher) for source in sources)


def _with_inside(
    findings: Findings, stack: Stack, dsns: Dsns, sources: Sequence[Source], matcher: Matcher
) -> Findings:
    """Add what stands inside sealed values; of the second look only what it did not see counts."""
    collector = TokenCollector()
    located = look(dsns, sources, collector)
    finds, inside = search_inside(cabinet_of(stack), matcher, collector, located.finds)
    whole = merged([findings, Findings(finds, vanished=located.vanished, undecoded=located.undecoded)])
    whole.inside = inside
    return whole


def _believed(findings: Findings, control: int, wanted: list[controls.Spot]) -> Findings:
    """Return the findings without the controls; raise `ScanUnproven` unless every one of them was found."""
    lacking = controls.missing(findings, control, wanted)
    if lacking:
        raise ScanUnproven("the control was not found again: " + "; ".join(map(str, lacking)))
    if findings.undecoded:
        raise ScanUnproven("could not be searched: " + "; ".join(findings.undecoded[:20]))
    findings.finds = [find for find in findings.finds if find.needle != control]
    return findings


@contextmanager
def _sealed(stack: Stack, control: str) -> Iterator[tuple[str, ...]]:
    """Seal the control under living keys of its own, and destroy them afterwards."""
    cabinet = cabinet_of(stack)
    try:
        yield blocking(plant_controls(cabinet, control))
    finally:
        blocking(remove_controls(cabinet))


@contextmanager
def _nothing_unproven() -> Iterator[None]:
    """Turn what stops a search into its refusal to answer; the code says why, never a value."""
    try:
        yield
    except LetheError as error:
        raise ScanUnproven(f"the search could not be carried out ({error.code})") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, KafkaException, OSError, TimeoutError) as error:
        raise ScanUnproven(f"the search could not be carried out ({type(error).__name__})") from None


@contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """Let one search after the other work on a platform: their controls have the same names."""
    descriptor = os.open(stack.state / ".scan", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
