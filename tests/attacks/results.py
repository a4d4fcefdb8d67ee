"""What came of an attack, for people (`docs/privacy-of-statistics.md`) and for machines (`build/attacks.json`)."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.attacks.chances import interval, most_by_guessing

FIGURES = Path(__file__).parents[2] / "build" / "attacks.json"


@dataclass(frozen=True)
class Result:
    """How often one attack was right about one stream, and how often guessing would have been."""

    right: int
    claims: int
    guess: float

    @property
    def rate(self) -> float:
        return self.right / self.claims if self.claims else 0.0

    @property
    def most(self) -> float:
        """The upper end of the 95 % interval of guessing."""
        return most_by_guessing(self.claims, self.guess)

    @property
    def wins(self) -> bool:
        """Whether the attacker knows more than somebody who guesses."""
        return self.rate > self.most

    @property
    def surely_wins(self) -> bool:
        """The same where chance is drawn anew in every run, so that one run in ten thousand says so without a cause."""
        return self.rate > most_by_guessing(self.claims, self.guess, 0.9998)

    def __str__(self) -> str:
        low, high = interval(self.right, self.claims)
        return (
            f"{self.right} of {self.claims} right = {self.rate:.2%} [{low:.2%}, {high:.2%}];"
            f" guessing {self.guess:.2%}, at most {self.most:.2%}"
        )


def judged(claims: Iterable[tuple[bool, float]]) -> Result:
    """Return the result of claims, each with whether it is right and how likely a guess in its place is."""
    made = list(claims)
    chance = sum(guess for _, guess in made) / len(made) if made else 0.0
    return Result(sum(right for right, _ in made), len(made), chance)


def pooled(results: Iterable[Result]) -> Result:
    """Return what several days give together."""
    made = list(results)
    claims = sum(each.claims for each in made)
    guess = sum(each.guess * each.claims for each in made) / claims if claims else 0.0
    return Result(sum(each.right for each in made), claims, guess)


KEPT: dict[str, dict[str, Result]] = {}
"""What this process has found."""


def keep(name: str, **variants: Result) -> None:
    """Print what came of an attack, and add it to `build/attacks.json`."""
    print()
    for variant, result in variants.items():
        print(f"  {name}, {variant}: {result}")
    KEPT[name] = variants
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept[name] = {variant: as_written(result) for variant, result in variants.items()}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def as_written(result: Result) -> dict[str, float]:
    """Return a result as `build/attacks.json` has it."""
    return asdict(result) | {"rate": round(result.rate, 4), "most by guessing": round(result.most, 4)}
