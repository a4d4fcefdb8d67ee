"""How much property tests try: the same few examples everywhere, many fresh ones where somebody asks for them.

`LETHE_EXAMPLES=20` tries twenty times as many: other ones in every run, or with pytest's `--hypothesis-seed=7` those of
this seed. Without it a red run stays red.
"""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("LETHE_EXAMPLES", "1"))
THOROUGH = TIMES > 1


def examples(number: int) -> settings:
    """Return settings for a property."""
    return settings(
        max_examples=number * TIMES,
        derandomize=not THOROUGH,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def stateful(number: int, steps: int) -> settings:
    """Return settings for a state machine."""
    return settings(examples(number), stateful_step_count=steps)
