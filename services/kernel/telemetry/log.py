"""Logs: one JSON object a line on stdout, about the machine and never about a person.

Three rules make that hold without anybody having to remember it: an event is a constant; a keyword that is
not in `KEYWORDS`, or whose value is not a number or a short name, is dropped and counted; an exception is its
type, its code and its allow-listed fields, because messages and locals quote the data they failed on.
Libraries are held to the same: of what they log, their name and line number remain. Nothing here raises.
"""

import contextlib
import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import orjson
import structlog

from services.kernel.errors import LetheError
from services.kernel.telemetry import metrics

_WHERE = "topic partition lane offset position expected epoch group generation"
_HOW_MUCH = "count records rows bytes seconds attempt lag"
_WHO_OF_US = "principal worker instance partner storefront owner request round"
_WHAT = (
    "code field fields error where caused_by constraint sqlstate ending state signal status route event_type"
)
_SET_UP = "host port version category purpose kek_version file missing"

KEYWORDS = frozenset(" ".join((_WHERE, _HOW_MUCH, _WHO_OF_US, _WHAT, _SET_UP)).split())
"""What may be said. No subject, order, reference or key id is among them: logs outlive an erasure."""

# No space and no @: a name, an address or a contact does not fit by accident.
_NAME = re.compile(r"[A-Za-z0-9_.,:/<>*?\[\]-]{1,200}")
_EVENT = re.compile(r"[a-z][a-z0-9 -]{1,60}")
_SET_HERE = frozenset({"level", "module"})

Line = MutableMapping[str, Any]


def configure(instance: str, level: int = logging.INFO) -> None:
    """Make this process log as `instance`: its own lines, its libraries', warnings, uncaught exceptions."""
    _configure_lines(instance, level)
    _take_over_libraries(level)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of one module or worker; `get("loop").info("batch stored", lane=3, records=200)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def allow_listed(_logger: Any, _method: str, line: Line) -> Line:
    """Return the line without what may not be said; the number of dropped parts takes their place."""
    event = str(line.pop("event", ""))
    kept = {key: value for key, value in line.items() if _may_be_said(key, value)}
    dropped = len(line) - len(kept) + (not _EVENT.fullmatch(event))
    kept["event"] = event if _EVENT.fullmatch(event) else "unnamed"
    if dropped:
        metrics.LOG_PARTS_DROPPED.labels(module=str(line.get("module", ""))).inc(dropped)
        kept["dropped"] = dropped
    return kept


def describe_exception(_logger: Any, _method: str, line: Line) -> Line:
    """Return the line with `exc_info` replaced by what may be said of an exception."""
    info = line.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()[1]
    elif isinstance(info, tuple):
        info = info[1]
    return {**told(info), **line} if isinstance(info, BaseException) else line


def told(error: BaseException) -> dict[str, Any]:
    """Return what may be said of an exception: type, code, fields, line of code; never its message."""
    said: dict[str, Any] = {}
    if isinstance(error, LetheError):
        said = {key: value for key, value in error.fields.items() if _may_be_said(key, value)}
        said["code"] = error.code
    if error.__cause__ is not None:
        said["caused_by"] = type(error.__cause__).__name__
    return said | {"error": type(error).__name__, "where": _innermost(error.__traceback__)}


def _innermost(trace: TracebackType | None) -> str:
    """Name the deepest line of our own code on the way to the error, or the deepest of all."""
    where = "?"
    own = False
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "?"))
        if module.startswith(("services.", "schemas.", "deploy.")) or not own:
            own = own or module.startswith(("services.", "schemas.", "deploy."))
            where = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _may_be_said(key: str, value: Any) -> bool:
    return (key in KEYWORDS or key in _SET_HERE) and _harmless(value)


def _harmless(value: Any) -> bool:
    if value is None or isinstance(value, bool | float):
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    if isinstance(value, list | tuple | set | frozenset):
        return all(_harmless(each) for each in value)
    return isinstance(value, str) and (not value or _NAME.fullmatch(value) is not None)


def _rendered(line: Line, **_options: Any) -> str:
    return orjson.dumps(line, default=_as_list, option=orjson.OPT_SORT_KEYS).decode()


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    raise TypeError


class _Stdout:
    """Where lines go. A reader that went away must not stop the worker that is telling it something."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    debug = info = warning = error = critical = exception = msg


def _configure_lines(instance: str, level: int) -> None:
    def name_instance(_logger: Any, _method: str, line: Line) -> Line:
        return {**line, "instance": instance}

    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            describe_exception,
            allow_listed,
            name_instance,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(serializer=_rendered),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stdout,
        cache_logger_on_first_use=False,
    )


class _LibraryHandler(logging.Handler):
    """Turns what a library logs into its name and place: its text may quote what it was handling."""

    def emit(self, record: logging.LogRecord) -> None:
        said = told(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}
        said.pop("where", None)
        place = f"{record.module}:{record.lineno}"
        get(record.name).log(record.levelno, "library message", where=place, **said)


def _take_over_libraries(level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(max(level, logging.WARNING))
    # A warning's text can hold a value: pydantic's serialisation warnings quote theirs.
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda raised: _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)
    sys.unraisablehook = lambda raised: _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    said = told(error) if error is not None else {"error": kind.__name__}
    get("process").critical("uncaught exception", **said)


# Also before a process configures itself: structlog's own default prints every keyword and every message.
_configure_lines("unconfigured", logging.INFO)
