"""SQL lives in .sql files, in blocks headed `-- name: what_it_does`."""

import re
from pathlib import Path

_HEAD = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The named statements of one file, as attributes."""

    def __init__(self, path: Path) -> None:
        parts = _HEAD.split(path.read_text(encoding="utf-8"))
        self._statements = {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(name) from None


def beside(module_file: str) -> Queries:
    """Return the statements of `queries.sql` in the folder of a module."""
    return Queries(Path(module_file).with_name("queries.sql"))
