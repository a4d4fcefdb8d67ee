"""What a mutant is: one guard taken away by one exact replacement in one file."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

NEEDS_PLATFORM = ("tests/contract/", "tests/integration/")


class DoesNotApply(Exception):
    """The text to be replaced does not occur exactly once: the guard was rewritten, and so must the mutant be."""


@dataclass(frozen=True)
class Mutant:
    """A guard, what breaks without it, how it is taken away, and the tests that turn red."""

    name: str
    breaks: str
    """What could happen to a person or a record without the guard."""
    file: str
    old: str
    new: str
    killers: tuple[str, ...]
    """Node ids; each must fail, of a parametrised test at least one case. A name alone stands for all its cases."""
    also: tuple[tuple[str, str], ...] = ()
    """Further replacements in the same file, where the guard's removal shows only with them."""
    own_platform: bool = False
    """The guard is in how the platform is set up: a running one would not show it."""
    fails_by: tuple[str, ...] = ()
    """Kinds of error that show the absence as an assertion would: what was held back, a wait that never ends."""

    @property
    def needs_platform(self) -> bool:
        """Whether a killing test talks to a real Kafka or PostgreSQL."""
        return any(killer.startswith(NEEDS_PLATFORM) for killer in self.killers)

    def applied_to(self, text: str) -> str:
        """Return the file's text without the guard; raise `DoesNotApply`."""
        for old, new in ((self.old, self.new), *self.also):
            found = text.count(old)
            if found != 1 or old == new:
                raise DoesNotApply(f"{self.name}: {old!r} occurs {found} times in {self.file}, not once")
            text = text.replace(old, new)
        if self.file.endswith(".py"):
            compile(text, self.file, "exec")
        return text

    def applied_in(self, root: Path) -> str:
        """Return the text of the mutated file of this tree."""
        return self.applied_to((root / self.file).read_text(encoding="utf-8"))

    def digest_in(self, root: Path) -> str:
        """Return a digest of what a verdict is about: what is declared, the file, and the killing tests' files."""
        files = dict.fromkeys((self.file, *(killer.partition("::")[0] for killer in self.killers)))
        parts = [repr(replace(self, breaks="")), *((root / each).read_text("utf-8") for each in files)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
