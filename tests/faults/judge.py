"""The verifier, a process of its own: judges a recorded trial by the six oracles.

    python -m tests.faults.judge build/faults/<test>

Prints what is wrong and exits 1, or says that everything holds. Imports nothing of the platform.
"""

import sys
from pathlib import Path

from tests.faults.history import HISTORY, HOLDINGS, read
from tests.faults.oracles import ORACLES, judge

MOST_SHOWN = 10


def main(folder: Path) -> int:
    """Judge one folder; return the exit code."""
    history, held = read(folder / HISTORY), read(folder / HOLDINGS)
    if not history or not held:
        print(f"{folder} holds no finished trial")
        return 2
    found = judge(history, held)
    for name, wrong in found.items():
        print(f"{name}: {len(wrong)} violations")
        print("\n".join(f"  {each}" for each in wrong[:MOST_SHOWN]))
    if not found:
        print(f"{len(history)} lines of history, {len(held)} of holdings: {' '.join(ORACLES)} hold")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
