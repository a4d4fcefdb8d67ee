"""One search: plant controls, look everywhere, believe the result only if every control was found."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import asyncpg
from confluent_kafka import KafkaException

from deploy.local.errors import PlatformUnavailable
from deploy.local.stack import Stack
from services.scan import controls
from services.scan.files import search_files
from services.scan.findings import Findings, merged
from services.scan.needles import Matcher
from services.scan.processes import pages_of, search_pages, search_processes
from services.scan.tables import Dsns, execute, search_tables

Source = Callable[[Matcher], Findings]
"""Somewhere else to look, such as the opened contents of sealed values."""


class ScanUnproven(PlatformUnavailable):
    """The search cannot be trusted: a control was not found again, or a place could not be read."""


def scan(stack: Stack, needles: Sequence[str], also: Sequence[Source] = ()) -> Findings:
    """Search everything below the state directory, and what its processes show, for these texts.

    Blocks for some seconds to minutes; several texts cost a pass each. May be called while everything runs: what
    is written meanwhile may or may not be seen. Raises `NeedleTooShort`, and `ScanUnproven` where the search
    could not show that it would have found the texts.
    """
    dsns = {"data": stack.admin_dsn("data"), "keyring": stack.admin_dsn("keyring", "keyring")}
    control = controls.new_control()
    matcher = Matcher([*needles, control])
    with _alone(stack):
        try:
            with controls.planted(stack, dsns, control) as page:
                findings = _search(stack, dsns, {**pages_of(stack), controls.NAME: page}, matcher, also)
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            KafkaException,
            OSError,
            TimeoutError,
        ) as error:
            raise ScanUnproven(f"the search could not be carried out ({type(error).__name__})") from None
    return _believed(findings, len(needles), controls.spots(dsns, control))


def _search(
    stack: Stack, dsns: Dsns, pages: dict[str, str], matcher: Matcher, also: Sequence[Source]
) -> Findings:
    sources: list[Source] = [
        partial(search_tables, dsns),
        partial(search_pages, pages),
        partial(search_processes, stack),
        partial(search_files, stack.state),
        *also,
    ]
    # PostgreSQL writes to its files late; Kafka has handed everything to the system already.
    execute(dsns, "CHECKPOINT")
    return merged(source(matcher) for source in sources)


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
def _alone(stack: Stack) -> Iterator[None]:
    """Let one search after the other work on a platform: their controls have the same names."""
    descriptor = os.open(stack.state / ".scan", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
