"""A pytest plugin that writes down how each test ended and by which kind of error, for whoever started the run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

TOLD_IN = "LETHE_WITNESS"
"""Environment variable: the file that is written."""


class Witness:
    """Collects one line per phase of each test that did not pass, and one per test that did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: list[dict[str, str]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: pytest.TestReport = yield
        error = call.excinfo.typename if call.excinfo is not None and report.failed else ""
        if report.when == "call" or not report.passed:
            self._see(report.nodeid, report.when, report.outcome, error)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected shows nothing about a guard."""
        if report.failed:
            self._see(report.nodeid, "collect", report.outcome, "collection")

    def pytest_sessionfinish(self) -> None:
        """Write everything at once: a half-written file would be read as a whole one."""
        self._path.write_text(json.dumps(self._seen), encoding="utf-8")

    def _see(self, test: str, phase: str, outcome: str, error: str) -> None:
        self._seen.append({"test": test, "phase": phase, "outcome": outcome, "error": error})


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run, if somebody asked for it."""
    if TOLD_IN in os.environ:
        # Whether something fails is asked here, the same in every run; the smallest example that does is not.
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile(
            "witness", phases=phases, derandomize=True, database=None, report_multiple_bugs=False
        )
        settings.load_profile("witness")
        config.pluginmanager.register(Witness(Path(os.environ[TOLD_IN])), "lethe-witness")
