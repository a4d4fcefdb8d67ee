"""Verbs that start, stop and show the platform of one machine: up, down, run, status."""

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from deploy.local import processes, stack, workers
from deploy.local.lock import alone
from deploy.settings import TOGETHER
from services.cli import output
from services.cli.exits import Ended, Exit
from services.cli.options import DEFAULT_STATE, AsJson, DryRun, State

Workers = Annotated[list[str] | None, typer.Argument(help="Only these workers.", metavar="[WORKER]...")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="WORKER.FIELD=VALUE",
        help="A worker's setting, kept; an empty value forgets it. `clicks` means all who must agree on a crowd.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (up, down, run, status):
        app.command()(verb)


def up(
    only: Workers = None,
    settings: Settings = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
    no_workers: Annotated[bool, typer.Option("--no-workers", help="Only Kafka and PostgreSQL.")] = False,
    restored: Annotated[
        bool,
        typer.Option(
            "--restored", help="A database or topic was restored on purpose: go on from there. Not kept."
        ),
    ] = False,
) -> None:
    """Start the platform and wait until it is ready; repair what was killed."""
    chosen = _parse(settings or [])
    if dry_run:
        resting = [each.instance for each in stack.status(state) if each.state in ("stopped", "killed")]
        return output.answer(
            {"would_start": resting}, as_json, "would start: " + (", ".join(resting) or "nothing")
        )
    began = time.monotonic()
    with _Download(as_json) as download:
        started = stack.start(
            state, () if no_workers else only or None, chosen, output.say, download.show, restored=restored
        )
    data = {
        "state": str(started.state),
        "kafka": started.kafka,
        "gateway": started.gateway_url,
        "insights": started.insights_url,
        "keyring": started.keyring_url,
        "processes": [asdict(each) for each in started.status()],
    }
    lines = [
        f"up in {time.monotonic() - began:.1f} s, state in {started.state}",
        f"  Kafka    {started.kafka}",
    ]
    lines += [f"  gateway  {started.gateway_url}"] if started.gateway_url else []
    lines += [f"  insights {started.insights_url}"] if started.insights_url else []
    output.answer(data, as_json, "\n".join(lines))


def down(
    only: Workers = None, state: State = DEFAULT_STATE, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Stop the platform, or only some workers; leave no process behind."""
    if dry_run:
        living = [each.instance for each in stack.status(state) if each.pid is not None]
        return output.answer(
            {"would_stop": living}, as_json, "would stop: " + (", ".join(living) or "nothing")
        )
    if only:
        names = [workers.named(each).principal if "-" not in each else each for each in only]
        stack.attach(state).stop_worker(*names)
        return output.answer({"stopped": names}, as_json, "stopped " + ", ".join(names))
    stopped = stack.stop(state, output.say)
    text = f"{stopped} processes stopped" if stopped else "nothing was running"
    return output.answer({"stopped": stopped}, as_json, text)


def run(
    worker: Annotated[str, typer.Argument(help="The worker to run once more.")],
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Run one more instance of a worker in the foreground, until it is interrupted: that is scaling."""
    process = workers.named(worker)
    platform = stack.attach(state)
    if dry_run:
        launch = platform.launch(process, workers.next_instance(process, platform.layout))
        data = {"instance": launch.instance, "argv": launch.argv, "environment": launch.environment}
        return output.answer(data, as_json, f"would run {launch.instance}: {' '.join(launch.argv)}")
    with alone(platform.layout):  # or two at once would take the same name
        launch = platform.launch(process, workers.next_instance(process, platform.layout))
        child = processes.begin(launch, platform.layout, platform.identity.platform)
    output.say(f"{launch.instance} runs until interrupted")
    raise typer.Exit(processes.follow(child, launch, platform.layout))


def status(state: State = DEFAULT_STATE, as_json: AsJson = False) -> None:
    """Show every process of the platform; 0 if all are ready, 1 if not."""
    found = stack.status(state)
    rows = ((each.instance, each.state, each.pid, _ports(each)) for each in found)
    output.answer(
        [asdict(each) for each in found], as_json, output.table(("process", "state", "pid", "ports"), rows)
    )
    if any(each.state != "ready" for each in found):
        raise typer.Exit(Exit.NO)


def _ports(process: stack.Status) -> str:
    return " ".join(f"{name}={port}" for name, port in process.ports.items()) if process.pid else ""


def _parse(settings: list[str]) -> dict[str, dict[str, str]]:
    chosen: dict[str, dict[str, str]] = {}
    for each in settings:
        name, equals, value = each.partition("=")
        worker, dot, field = name.partition(".")
        if not (equals and dot and worker and field):
            raise Ended(Exit.USAGE, f"--set wants WORKER.FIELD=VALUE, not {name}")
        for principal in TOGETHER.get(worker) or (workers.named(worker).principal,):
            chosen.setdefault(principal, {})[field.lower()] = value
    return chosen


class _Download:
    """Shows the one-time download of Kafka, if there is one."""

    def __init__(self, quiet: bool) -> None:
        columns = (
            TextColumn("fetching Kafka"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} jars"),
        )
        self._bar = Progress(*columns, DownloadColumn(), console=output.stderr, disable=quiet)
        self._task = None if quiet else self._bar.add_task("jars", total=None, visible=False)

    def __enter__(self) -> "_Download":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, wanted: int, size_bytes: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=wanted, visible=True)
