"""How well the scrubber of search terms finds what is personal: python -m tests.clicks.scrubbing FILE…

*.json          labelled texts in the form of presidio-research: `full_text`, `spans` with type and positions
*.tsv, *.csv.gz texts of which none is personal: searches, or products of the retail data; every find is a false one
"""

import csv
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.gateway.clicks.scrubbing import Found, found_in
from services.gateway.clicks.terms import cleaned, term_of

PERSONAL = (
    "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "US_DRIVER_LICENSE", "IP_ADDRESS",
    "DOMAIN_NAME", "ZIP_CODE", "STREET_ADDRESS", "PERSON", "AGE", "DATE_TIME", "TITLE", "GPE", "NRP", "ORGANIZATION",
)  # fmt: skip
"""In this order; entities of other names follow."""


@dataclass
class Tally:
    """What was found of labelled things, and what was found beside them."""

    labelled: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    """Found when typed alone, as a term."""
    beside: Counter[str] = field(default_factory=Counter)
    """False finds in labelled texts, by kind."""
    texts: int = 0

    def add(self, text: str, spans: Sequence[tuple[str, int, int]]) -> None:
        """Count one text with its labelled stretches."""
        self.texts += 1
        folded, places = _folded(text, spans)
        finds = list(found_in(folded))
        for (entity, start, end), (first, last) in zip(spans, places, strict=True):
            self.labelled[entity] += 1
            self.found[entity] += any(_touches(each, first, last) for each in finds)
            self.alone[entity] += (term_of(text[start:end]) or "(").startswith("(")
        for each in finds:
            if not any(_touches(each, first, last) for first, last in places):
                self.beside[each.kind] += 1

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        yield f"{self.texts} texts"
        yield f"{'entity':<18} {'labelled':>8} {'in a text':>16} {'typed alone':>16}"
        for entity in sorted(self.labelled, key=lambda name: (*_place(name), name)):
            there = self.labelled[entity]
            share = [f"{count} ({count / there:.1%})" for count in (self.found[entity], self.alone[entity])]
            yield f"{entity:<18} {there:>8} {share[0]:>16} {share[1]:>16}"
        yield f"found beside what is labelled: {dict(self.beside)}"


def labelled(path: Path) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Yield texts with their labelled stretches, in order."""
    for each in json.loads(path.read_text("utf-8")):
        spans = [
            (span["entity_type"], span["start_position"], span["end_position"]) for span in each["spans"]
        ]
        yield each["full_text"], sorted(spans, key=lambda span: span[1])


def harmless(path: Path) -> list[str]:
    """Return texts of which none is personal, each once."""
    packed = path.suffix == ".gz"
    content = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode("utf-8-sig")
    rows = list(csv.DictReader(content.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ","))
    column = next(name for name in ("query", "Description") if name in rows[0])
    return list(dict.fromkeys(row[column] for row in rows if row[column]))


def false_finds(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the texts that became a placeholder, and which."""
    terms = [(text, term_of(text) or "") for text in texts]
    return [(text, term) for text, term in terms if term.startswith("(") and not text.startswith("(")]


def _folded(text: str, spans: Sequence[tuple[str, int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Return the text as the scrubber sees it, and where the stretches are in it."""
    folded, places, at = "", [], 0
    for _, start, end in spans:
        folded = _joined(folded, text[at:start])
        before = len(folded)
        folded = _joined(folded, text[start:end])
        places.append((before, len(folded)))
        at = end
    return _joined(folded, text[at:]), places


def _joined(folded: str, piece: str) -> str:
    """Return a folded beginning with the next piece; a space between them stays one."""
    spaced = " " if piece[:1].isspace() and folded and not folded.endswith(" ") else ""
    return folded + spaced + cleaned(piece) + (" " if piece[-1:].isspace() and piece.strip() else "")


def _touches(found: Found, start: int, end: int) -> bool:
    return found.start < end and start < found.end


def _place(entity: str) -> tuple[int]:
    return (PERSONAL.index(entity) if entity in PERSONAL else len(PERSONAL),)


def main(paths: Sequence[Path]) -> None:
    """Print a table for each labelled file, and the false finds of all others."""
    for path in paths:
        print(f"\n{path.name}")
        if path.suffix == ".json":
            tally = Tally()
            for text, spans in labelled(path):
                tally.add(text, spans)
            print("\n".join(tally.lines()))
        else:
            texts = harmless(path)
            finds = false_finds(texts)
            print(f"{len(texts)} texts, {len(finds)} false finds {finds[:20]}")


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
