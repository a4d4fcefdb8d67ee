"""Write the published contracts, or check that they are current (exit 1, and the names of those that are not)."""

import sys
from pathlib import Path

from schemas.publish.documents import documents

PUBLISHED = Path(__file__).resolve().parent.parent / "published"


def outdated() -> list[str]:
    """Return the relative paths of files that are missing, differ, or should not be there."""
    wanted = documents()
    present = {path.relative_to(PUBLISHED).as_posix(): path for path in PUBLISHED.rglob("*.json")}
    differing = [
        name for name, text in wanted.items() if name not in present or present[name].read_text() != text
    ]
    return sorted({*differing, *(present.keys() - wanted.keys())})


def write() -> None:
    """Make the folder hold exactly what the contracts say."""
    wanted = documents()
    for path in PUBLISHED.rglob("*.json"):
        if path.relative_to(PUBLISHED).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = PUBLISHED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Do what the command line says; return the exit code."""
    if sys.argv[1:] == ["--check"]:
        names = outdated()
        sys.stdout.writelines(f"not current: {name}\n" for name in names)
        return 1 if names else 0
    if sys.argv[1:]:
        sys.stderr.write("usage: python -m schemas.publish [--check]\n")
        return 2
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
