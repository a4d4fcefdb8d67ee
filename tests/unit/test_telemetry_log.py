"""Logs say what the machine did and never whom it did it for."""

import ast
import json
import logging
import sys
import warnings
from pathlib import Path

import pytest

from services.kernel.errors import ConfigurationError, RejectedRecord
from services.kernel.telemetry import log, metrics

CANARY = "Zoë Canary-Smith, 5 Privet Lane"
REPOSITORY = Path(__file__).resolve().parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


@pytest.fixture(autouse=True)
def configured():
    """Configure this process's logs, and give back what configuring takes over."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, sys.unraisablehook)
    log.configure("orders-1", logging.DEBUG)
    yield
    root.handlers[:], (root.level, sys.excepthook, sys.unraisablehook) = before[0], before[1:]
    logging.captureWarnings(False)
    log._configure_lines("unconfigured", logging.INFO)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
    return [json.loads(line) for line in captured.out.splitlines()]


def dropped(module: str) -> float:
    return metrics.LOG_PARTS_DROPPED.labels(module=module)._value.get()


def test_a_line_is_json_with_its_instance_and_module(capsys):
    """Everything that a log collector needs is in the one line."""
    log.get("loop").info("batch stored", lane=3, records=200, seconds=0.25)
    (line,) = lines(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "batch stored", "instance": "orders-1", "module": "loop", "level": "info",
        "lane": 3, "records": 200, "seconds": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("keyword", ["name", "subject", "order", "value", "email", "exc", "time", "dropped"])
def test_a_keyword_that_is_not_allow_listed_is_dropped_and_counted(capsys, keyword):
    """No personal value in a log: what nobody allowed is not said, and it is noticed."""
    before = dropped("loop")
    log.get("loop").info("batch stored", **{keyword: "0123"})
    (line,) = lines(capsys)
    assert line["dropped"] == 1 and "0123" not in line.values()
    assert dropped("loop") == before + 1


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        "Zoë",
        "a@b.example",
        "+49 170",
        "x\ny",
        "x" * 201,
        {"a": 1},
        ["ok", CANARY],
        object(),
        2**80,
        "\ud800",
    ],
)
def test_a_value_that_is_no_short_name_is_dropped_even_under_an_allowed_keyword(capsys, value):
    """An allowed keyword is no way round: text that could be a person's is not said."""
    log.get("loop").info("batch stored", code=value)
    (line,) = lines(capsys)
    assert line["dropped"] == 1 and "code" not in line


@pytest.mark.parametrize("keyword", ["module", "instance", "level"])
def test_the_keywords_that_the_log_sets_itself_take_no_text_either(capsys, keyword):
    """A reserved keyword passed by mistake is held to the same rule."""
    log.get("loop").info("batch stored", **{keyword: CANARY})
    assert len(lines(capsys)) == 1


def test_an_event_that_is_no_constant_phrase_is_not_said(capsys):
    """A value formatted into the event does not come through."""
    log.get("loop").info(f"stored {CANARY}")
    assert lines(capsys)[0]["event"] == "unnamed"


def test_an_exception_is_its_type_code_and_allowed_fields(capsys):
    """Messages and locals quote what failed; only what may be said of an error is."""
    secret = CANARY
    try:
        raise RejectedRecord("order-unknown", topic="orders", offset=7, street=secret) from ValueError(secret)
    except RejectedRecord:
        log.get("loop").exception("record rejected", lane=1)
    (line,) = lines(capsys)
    assert line["error"] == "RejectedRecord" and line["code"] == "order-unknown" and line["offset"] == 7
    assert line["caused_by"] == "ValueError" and "street" not in line
    assert line["where"].startswith("test_telemetry_log:") or ".test_telemetry_log:" in line["where"]


def test_a_foreign_exception_keeps_its_message_to_itself(capsys):
    """A KeyError quotes the missing key, a database error the row."""
    try:
        {}[CANARY]
    except KeyError:
        log.get("loop").exception("decision failed")
    (line,) = lines(capsys)
    assert line["error"] == "KeyError" and "code" not in line


def test_where_names_the_deepest_line_of_our_own_code():
    """An error inside a library is told by the line of ours that called it."""
    with pytest.raises(ConfigurationError) as caught:
        from services.kernel.settings import _check_modes

        _check_modes(Path(__file__).parent.parent / "unit")
    assert log.told(caught.value)["where"].startswith("services.kernel.settings:")


def test_what_a_library_says_is_reduced_to_its_place(capsys):
    """A library's message may quote the record it was handling."""
    logging.getLogger("aiokafka.consumer").error("could not decode %s", CANARY)
    (line,) = lines(capsys)
    assert line["module"] == "aiokafka.consumer" and line["event"] == "library message"


def test_a_warning_is_reduced_to_its_place(capsys):
    """Pydantic's serialisation warnings quote the value they warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(CANARY, stacklevel=1)
    assert [line["module"] for line in lines(capsys)] in ([], ["py.warnings"])


def test_an_uncaught_exception_ends_in_a_line_not_in_a_traceback(capsys):
    """The last words of a process are held to the same rules."""
    error = RuntimeError(CANARY)
    sys.excepthook(RuntimeError, error, None)
    (line,) = lines(capsys)
    assert line["error"] == "RuntimeError" and line["level"] == "critical"


def test_a_reader_that_went_away_does_not_stop_the_worker(monkeypatch):
    """Logging never raises into the loop."""

    class Closed:
        def write(self, _text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    log.get("loop").info("batch stored")


def logging_calls():
    for path in (REPOSITORY / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
            ):
                receiver = ast.unparse(node.func.value).lower()
                if (
                    receiver.rpartition(".")[2].strip("_") in {"log", "logger"}
                    and "storefront" not in path.parts
                ):
                    yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", node


def test_every_call_in_the_code_logs_a_literal_event_and_allowed_keywords():
    """What the running code would drop silently is a mistake that shows here."""
    wrong = []
    for where, call in logging_calls():
        literal = len(call.args) == 1 and isinstance(call.args[0], ast.Constant)
        if not literal or not log._EVENT.fullmatch(str(call.args[0].value)):
            wrong.append(f"{where}: the event is one literal phrase, lower case")
        for keyword in call.keywords:
            spread = ast.unparse(keyword.value) if keyword.arg is None else ""
            # The fields of a LetheError are filtered again when they are logged.
            of_an_error = spread.startswith(("told(", "log.told(")) or spread.endswith("error.fields")
            if keyword.arg not in log.KEYWORDS | {"exc_info"} and not of_an_error:
                wrong.append(f"{where}: {keyword.arg or '**'} is not an allowed keyword")
    assert not wrong, "\n".join(wrong)
