"""The tables of `docs/privacy-of-statistics.md`, written from what is computed."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.attacks.chances import interval
from tests.attacks.results import FIGURES
from tests.attacks.utility import utility_table

PAGE = Path(__file__).parents[2] / "docs" / "privacy-of-statistics.md"
TRIED = {
    "same or closest tag": "two cells with the same tag, or the closest two, are one visitor's",
    "neighbours in the log": "two cells side by side in a lane are one visitor's",
    "same batch": "two cells that arrived together are one visitor's",
    "chain of transitions": "who went from A to B is who went on from B to C, the next that fits",
    "chain of pairs": "who looked at Y before X is who looked at X before Z",
    "came back in the same hours": "two cells, each with a tag in the same two or more hours, are one visitor's",
    "known moment of a visit": "a visit is known to the second: that cell is his",
    "order to another product": "an order is known to the second, with a product: what else he looked at",
    "flood before and after a visit": "a shop is flooded right before and after: what leaves next is that visitor's",
    "trying all addresses": "every address and browser is tried, with all that is left of the key",
    "difference of two kinds": "how many looked at it and did not put it into the cart",
    "a day less its hours": "how many came in the hours without a crowd; never are both told",
    "a category less its product": "how many looked at the category's other products; never are both told",
    "what was dropped, less what is known": "how many did one dropped thing, all other dropped things known",
    "rare search terms": "a term that 1 to 9 visitors searched for is read somewhere",
    "shares made up": "the shares that lack are made up",
}
"""What each attack claims."""
UNPROTECTED = {
    "k - 1 forged visitors": "nine forged visitors search for a term: did a tenth?",
    "trying all addresses with the living key": "the same with the tag key of the day in hand",
}


def attack_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of what holds; `results` by attack and variant, as `build/attacks.json` has them."""
    lines = [
        "| The attacker claims | Right, here | Guessing | At most by guessing | Right, naive |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, claim in TRIED.items():
        real, plain = results[name]["real"], results[name].get("naive")
        lines.append(
            f"| **{name}**: {claim} | {_rate(real)} | {real['guess']:.1%} | {real['most by guessing']:.1%} |"
            f" {_rate(plain) if plain else ''} |"
        )
    return "\n".join(lines)


def unprotected_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of what does not."""
    lines = ["| The attacker claims | Right | Guessing |", "|---|---:|---:|"]
    for name, claim in UNPROTECTED.items():
        found = results[name]["unprotected"]
        lines.append(f"| **{name}**: {claim} | {_rate(found)} | {found['guess']:.1%} |")
    learned = "real, learned on other days"
    for name in ("difference of two kinds",):
        found = results[name][learned]
        lines.append(
            f"| **{name}**, by somebody who saw everything of six other days | {_rate(found)} | {found['guess']:.1%} |"
        )
    for name in ("neighbours in the log", "same batch", "chain of transitions"):
        found = results[f"{name}, every 5 s"]["quick"]
        lines.append(
            f"| **{name}**, where `LETHE_FLUSH_SECONDS` is 5 | {_rate(found)} | {found['guess']:.1%} |"
        )
    return "\n".join(lines)


def _rate(found: Mapping[str, Any]) -> str:
    if not found["claims"]:
        return "no claim can be made"
    low, high = interval(found["right"], found["claims"])
    return f"{found['right'] / found['claims']:.1%} of {found['claims']:,} ({low:.1%}–{high:.1%})"


def part(name: str) -> str:
    """Return what stands between the marks of a part in the document."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert found, name
    return found[1]


def write() -> None:
    """Write the tables: attacks as the last whole run of their tests found them, utility computed anew."""
    results = json.loads(FIGURES.read_text())
    text = PAGE.read_text("utf-8")
    for name, made in {
        "attacks": attack_table(results),
        "unprotected": unprotected_table(results),
        "utility": utility_table(),
    }.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = between.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", text)
    PAGE.write_text(text, "utf-8")
