"""Guards of what a crowd shares: fewer open nothing, and nobody can be known by when he came back."""

from tests.faults.mutants.mutant import Mutant

CROWDS = "tests/unit/kernel/test_crowds.py::"
GONE = "tests/unit/test_clicks_gone.py::"
ANONYMISER = "tests/unit/test_clicks_anonymiser.py::"
SEALING = "services/kernel/sealing/crowds.py"

SHARED = (
    Mutant(
        "one-less-opens-nothing",
        "Nine visitors open what ten should share.",
        SEALING,
        "numbers[1:]]",
        "numbers[1:-1]]",
        (CROWDS + "test_one_less_than_a_crowd_opens_nothing",),
    ),
    Mutant(
        "window-in-the-cell",
        "A rare cell gathers a crowd over days, and its id follows it.",
        "services/gateway/clicks/contribution.py",
        "(storefront, kind, window, text), text)",
        "(storefront, kind, text), text)",
        (ANONYMISER + "test_a_cell_has_another_id_in_another_window",),
    ),
    Mutant(
        "cell-under-the-tag-key",
        "Whoever knows a text can make its cell's polynomial, for ever.",
        SEALING,
        'root = key.mac(_joined("crowd", str(crowd), *parts))',
        'root = hashlib.blake2b(_joined("crowd", str(crowd), *parts)).digest()',
        (CROWDS + "test_another_key_makes_another_cell", CROWDS + "test_a_dead_key_makes_nothing"),
    ),
    Mutant(
        "leaves-once",
        "Two cells with tags in the same two hours are one visitor's: he came back.",
        "services/gateway/clicks/anonymiser.py",
        "new = [each for each in made if not self._gone.holds(key.number, each)]",
        "new = made",
        (ANONYMISER + "test_who_comes_back_the_same_day_leaves_nothing_twice",),
    ),
    Mutant(
        "kept-cells-are-bounded",
        "Somebody searches for a million different words, and the gateway runs out of memory.",
        "services/gateway/clicks/contribution.py",
        "if len(self._kept) >= MOST_KEPT:",
        "if len(self._kept) < 0:",
        (ANONYMISER + "test_no_number_of_searches_fills_the_memory",),
    ),
    Mutant(
        "everybody-waits-as-long",
        "After a crowd left early the next five leave at once, and everybody knows that it was they.",
        "services/gateway/clicks/anonymiser.py",
        "            waiting.since = self._clock.monotonic()\n",
        "            pass\n",
        (ANONYMISER + "test_who_comes_after_a_crowd_left_early_waits_for_a_crowd_as_long",),
    ),
    Mutant(
        "past-hours-first",
        "What waits for the end of its hour is taken again in the first second of the next.",
        "services/gateway/clicks/anonymiser.py",
        "            self._end_before(room)\n",
        "",
        (ANONYMISER + "test_what_waits_for_the_end_of_its_hour_is_not_taken_again_in_the_next",),
    ),
)
