"""Every effect of the main path stands inside a named step: a new one without a name fails here."""

import ast
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from services.kernel import failpoints
from services.kernel.failpoints import Step

SERVICES = Path(failpoints.__file__).parents[1]
MAIN_PATH = (
    "kernel/worker/turn.py",
    "kernel/worker/fold.py",
    "kernel/worker/fanout.py",
    "kernel/worker/lane.py",
    "kernel/worker/loop.py",
    "kernel/worker/relay.py",
    "keyring/minting.py",
    "keyring/opening.py",
    "keyring/service.py",
    "keyring/commands.py",
    "keyring/rotation.py",
    "keyring/expiry.py",
    "keyring/readiness.py",
    "keyring/chores.py",
    "keyring/tag_key.py",
    "gateway/intake.py",
    "gateway/erasures.py",
    "gateway/events.py",
    "gateway/clicks/kept_key.py",
    "gateway/clicks/departures.py",
    "gateway/clicks/anonymiser.py",
    "clickstream/handler.py",
    "clickstream/counting.py",
    "clickstream/closing.py",
    "clickstream/ending.py",
    "dispatch/shipments.py",
    "dispatch/updates.py",
    "dispatch/labels.py",
)
"""Where a batch, a question or a request has its effects. Adapters (Kafka, PostgreSQL, HTTP) are called from here."""
ELSEWHERE = ("kernel/broker/kafka_producers.py",)
"""Holds steps of its own: the two halves of a Kafka transaction."""

OUTSIDE = {
    "tx", "connection", "pool", "storage", "store", "broker", "consumer", "producer", "keyring", "behind", "desk",
    "outbound", "rights", "provider",
}  # fmt: skip
"""Names of what an effect is had through."""
ASKS = {
    "positions", "streams", "backlog", "waiting", "last_number", "outbox", "blocked", "topic_ids", "committed",
    "beginnings", "ends", "event_ids", "position", "registry", "words", "copies", "find", "remembers",
    "work", "page", "counts", "shares", "candidates", "complete", "ended",
}  # fmt: skip
"""Questions: they change nothing and lock nothing, so dying before or after one is dying before the next step."""
WAITS = {"sleep", "wait", "gather", "storefront", "read_bytes", "stop", "close"}
"""Waiting, the body of a request, letting go: no effect that lasts."""
READERS = {"subject_with_pairs", "with_pairs", "fetch"}
"""Functions of ours that only ask; `KeyringService._fetch` is only given questions."""
MARKED_INSIDE = {("producer", "publish")}
"""Called from the main path, with its steps in `ELSEWHERE`."""
FILES = {"create", "destroy"}
"""What a KEK provider does to files, without waiting."""
_MARK = re.compile(r"\b(step|before|after)\((?:failpoints\.)?Step\.([A-Z_]+)\)")
SOURCES = {name: (SERVICES / name).read_text("utf-8") for name in MAIN_PATH + ELSEWHERE}
OWN = frozenset(re.findall(r"async def (\w+)\(", "\n".join(SOURCES[name] for name in MAIN_PATH)))
"""Functions of the main path: what they do is looked at where they do it."""


def _queries() -> dict[str, str]:
    """Return every named statement of the main path's folders, without comments."""
    found = {}
    for folder in sorted({(SERVICES / name).parent for name in MAIN_PATH}):
        for path in folder.glob("*.sql"):
            for block in path.read_text("utf-8").split("-- name: ")[1:]:
                name, _, text = block.partition("\n")
                found[name.strip()] = "\n".join(each for each in text.splitlines() if each[:2] != "--")
    return found


QUERIES = _queries()


@dataclass
class Function:
    """A function of the main path: what it does outside any step, and from where it is called."""

    bare: list[str] = field(default_factory=list)
    callers: list[tuple[str, bool]] = field(default_factory=list)
    """Name of each caller, and whether it calls from inside a step."""


def test_every_effect_of_the_main_path_stands_inside_a_step() -> None:
    """Who adds a statement, a send or a call to the main path names its step, or the crash suite would not see it."""
    assert _complaints(SOURCES) == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(name, number, id=f"{name}:{number + 1}")
        for name in MAIN_PATH + ELSEWHERE
        for number, line in enumerate(SOURCES[name].splitlines())
        if _MARK.search(line)
    ],
)
def test_a_mark_that_is_taken_away_is_missed(name: str, number: int) -> None:
    """The search itself is tried, on every mark there is."""
    lines = SOURCES[name].splitlines()
    lines[number] = _MARK.sub(lambda mark: "nothing()" if mark[1] == "step" else "pass", lines[number])
    assert _complaints({**SOURCES, name: "\n".join(lines)}) != []


def test_marks_stand_where_this_search_looks() -> None:
    """A mark in any other module would be one that nobody misses."""
    marked = [path for path in SERVICES.rglob("*.py") if _MARK.search(path.read_text("utf-8"))]
    names = {str(path.relative_to(SERVICES)) for path in marked} - {"kernel/failpoints.py"}
    assert names <= set(MAIN_PATH + ELSEWHERE)


def _complaints(sources: dict[str, str]) -> list[str]:
    """Return what is wrong: effects outside steps, steps without both sides, steps that are nowhere."""
    sides = Counter((mark[1], mark[2]) for text in sources.values() for mark in _MARK.finditer(text))
    unused = {each.name for each in Step} - {name for _, name in sides}
    halves = [each.name for each in Step if sides["before", each.name] != sides["after", each.name]]
    return [*_unmarked(sources), *sorted(unused), *halves]


def _unmarked(sources: dict[str, str]) -> list[str]:
    """Return where something outside is touched without a step, and which transactions end without one."""
    functions: dict[str, Function] = defaultdict(Function)
    for name in MAIN_PATH:
        for function, found in _functions(name, sources[name]).items():
            functions[function].bare += found.bare
            functions[function].callers += found.callers
    return [
        each
        for name, function in functions.items()
        for each in function.bare
        if not _always_inside(name, functions, frozenset())
    ]


@cache
def _functions(name: str, text: str) -> dict[str, Function]:
    visitor = _Visitor(name)
    visitor.visit(ast.parse(text))
    return visitor.functions


def _always_inside(name: str, functions: dict[str, Function], seen: frozenset[str]) -> bool:
    """Say whether a function is only ever called from inside a step."""
    callers = functions[name].callers if name in functions else []
    return bool(callers) and all(
        inside or (caller not in seen and _always_inside(caller, functions, seen | {name}))
        for caller, inside in callers
    )


class _Visitor(ast.NodeVisitor):
    """Walks one module and notes what each function does, and whether inside a step."""

    def __init__(self, module: str) -> None:
        self.functions: dict[str, Function] = defaultdict(Function)
        self._module = module
        self._function = ""
        self._inside = False

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        outer = self._function, self._inside
        self._function, self._inside = node.name, False
        self.generic_visit(node)
        self._function, self._inside = outer

    def visit_With(self, node: ast.With) -> None:
        outer, self._inside = self._inside, self._inside or any(_is_step(each) for each in node.items)
        self.generic_visit(node)
        self._inside = outer

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and _path(call.func)[-1] in ("transaction", "_transaction"):
                if _only_asks(node) or (
                    isinstance(node.body[-1], ast.Expr) and isinstance(node.body[-1].value, ast.Yield)
                ):
                    return
                if not (self._inside or _ends_marked(node)):
                    self._note(node, "transaction")
            elif isinstance(call, ast.Call):
                self._look_at(call)
        self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> None:
        if isinstance(node.value, ast.Call):
            self._look_at(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        path = _path(node.func)
        if "provider" in path and path[-1] in FILES and not self._inside:
            self._note(node, ".".join(path))
        self.generic_visit(node)

    def _look_at(self, call: ast.Call) -> None:
        path = [part.lstrip("_") for part in _path(call.func)]
        name = _path(call.func)[-1]
        outside = bool(OUTSIDE & set(path[:-1]))
        if name in OWN:
            self.functions[name].callers.append((self._function, self._inside))
        if name in ("transaction", "savepoint", "acquire") or name in WAITS:
            return
        if outside and (name in ASKS or _asks(call) or tuple(path[-2:]) in MARKED_INSIDE):
            return
        if not outside and (name in OWN or name in READERS or not _carries_outside(call)):
            return
        if not self._inside:
            self._note(call, ".".join(path))

    def _note(self, node: ast.AST, what: str) -> None:
        self.functions[self._function].bare.append(f"{self._module}:{node.lineno} {what}")  # type: ignore[attr-defined]


def _path(node: ast.expr) -> list[str]:
    """Return the names of `self._storage.begin`, from left to right; what is called in between counts, too."""
    match node:
        case ast.Attribute(value=value, attr=attr):
            return [*_path(value), attr]
        case ast.Name(id=name):
            return [name]
        case ast.Call(func=func):
            return _path(func)
        case _:
            return [""]


def _is_step(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, ast.Call) and _path(item.context_expr.func)[-1] == "step"


def _carries_outside(call: ast.Call) -> bool:
    """Say whether a function is handed something to have an effect through."""
    return any(OUTSIDE & {part.lstrip("_") for part in _path(each)} for each in call.args)


def _ends_marked(node: ast.AsyncWith) -> bool:
    """Say whether the last thing in a transaction is the mark before its commit."""
    last = node.body[-1]
    return (
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Call)
        and _path(last.value.func)[-1] == "before"
    )


def _only_asks(node: ast.AsyncWith) -> bool:
    """Say whether a transaction is there for one question only."""
    last = node.body[-1]
    if len(node.body) > 1 or not isinstance(last, ast.Return) or not isinstance(last.value, ast.Await):
        return False
    call = last.value.value
    return isinstance(call, ast.Call) and (_asks(call) or _path(call.func)[-1] in READERS)


def _asks(call: ast.Call) -> bool:
    """Say whether a statement is a plain question, without locks."""
    for each in call.args:
        text = None
        if isinstance(each, ast.Attribute) and _path(each)[0] == "SQL":
            text = QUERIES[each.attr]
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            text = each.value
        if text is not None:
            return text.lstrip().startswith("SELECT") and not re.search(r"\bFOR (UPDATE|SHARE)\b", text)
    return False
