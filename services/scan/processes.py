"""Searches what running processes show: their pages, their command lines, their environments."""

from collections.abc import Mapping

import httpx
import psutil

from deploy.local import processes
from deploy.local.stack import Stack
from services.scan.findings import Find, Findings
from services.scan.needles import Searcher

PAGES = ("/metrics", "/ready", "/live")
PAGE_SECONDS = 10.0


def search_pages(pages: Mapping[str, str], matcher: Searcher) -> Findings:
    """Search the pages of processes, given as name and URL; name those that do not answer."""
    findings = Findings()
    # No proxy of the environment may stand between: it would answer in the process's place.
    with httpx.Client(trust_env=False, timeout=PAGE_SECONDS) as http:
        for name, url in pages.items():
            for page in PAGES:
                try:
                    content = http.get(url + page).content
                except httpx.HTTPError:
                    findings.undecoded.append(f"{name} {page}")
                    continue
                findings.count("metrics", len(content))
                for match in matcher.matches(content):
                    findings.finds.append(Find("metrics", f"{name} {page}", match.form, match.needle))
    return findings


def pages_of(stack: Stack) -> dict[str, str]:
    """Return the pages of every living process that has any."""
    return {
        running.instance: f"http://127.0.0.1:{running.ports['health']}"
        for running in processes.remembered(stack.layout)
        if running.alive and running.ports.get("health")
    }


def search_processes(stack: Stack, matcher: Searcher) -> Findings:
    """Search command line and environment of every living process of the platform, database backends included."""
    findings = Findings()
    for process in processes.strays(stack.layout, stack.identity.platform):
        try:
            shown = {"command line": "\0".join(process.cmdline()), "environment": _environment(process)}
            name = f"{process.name()} {process.pid}"
        except psutil.NoSuchProcess:
            findings.vanished += 1
            continue
        except (psutil.Error, OSError):
            findings.undecoded.append(f"process {process.pid}")
            continue
        for part, text in shown.items():
            content = text.encode("utf-8", "surrogateescape")
            findings.count("process", len(content))
            for match in matcher.matches(content):
                findings.finds.append(Find("process", f"{name} {part}", match.form, match.needle))
    return findings


def _environment(process: psutil.Process) -> str:
    return "\0".join(f"{name}={value}" for name, value in process.environ().items())
