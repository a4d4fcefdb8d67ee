"""Guards of what a crowd shares: fewer open nothing, nobody is known by when he comes back, no flood changes that."""

from tests.faults.mutants.mutant import Mutant

CROWDS = "tests/unit/kernel/test_crowds.py::"
GONE = "tests/unit/test_clicks_gone.py::"
CROWD = "tests/unit/test_clicks_crowd.py::"
TAGS = "tests/unit/test_clicks_tags.py::"
ANONYMISER = "tests/unit/test_clicks_anonymiser.py::"
SEALING = "services/kernel/sealing/crowds.py"
ROOMS = "services/gateway/clicks/anonymiser.py"
WAITING = "services/gateway/clicks/crowd.py"

FLOODED = (
    Mutant(
        "crowd-of-networks",
        "Somebody with ten user agents is a crowd, and the eleventh visitor of a quiet hour is alone in it.",
        WAITING,
        "return len(self._networks) >= self._least",
        "return len(self._visitors) >= self._least",
        (ANONYMISER + "test_browsers_behind_one_address_are_no_crowd",),
    ),
    Mutant(
        "network-of-many-prefixes",
        "Whoever is given a tunnel has 65,536 networks.",
        "services/gateway/clicks/tags.py",
        "_network(at, NETWORK_BITS)",
        "_network(at, VISITOR_BITS)",
        (TAGS + "test_who_comes_from_one_network_is_known_to_whatever_he_calls_his_browser",),
    ),
    Mutant(
        "share-of-a-network",
        "One address with many user agents fills what all others would have waited in.",
        WAITING,
        "islice(wanted, min(of_visitor, of_network))",
        "islice(wanted, of_visitor)",
        (
            CROWD + "test_one_network_cannot_fill_the_room",
            ANONYMISER + "test_one_address_never_blinds_a_shop",
        ),
    ),
    Mutant(
        "share-of-the-hour",
        "Whenever a large crowd has left, everybody may flood the room anew.",
        WAITING,
        "        self._networks.clear()\n",
        "        self._networks.clear()\n        self._contributed.clear()\n",
        (ANONYMISER + "test_who_left_early_has_no_second_share_of_the_hour",),
    ),
    Mutant(
        "early-from-many-networks",
        "A stranger fills a room and decides when it leaves: twice, and who came in between is alone.",
        ROOMS,
        "crowded = crowd.networks >= EARLY_NETWORKS and seconds >= EARLY_SECONDS",
        "crowded = seconds >= EARLY_SECONDS",
        (ANONYMISER + "test_a_crowd_that_grows_large_leaves_before_the_hour",),
    ),
    Mutant(
        "early-after-a-while",
        "In a large shop, batches of seconds say who came before whom.",
        ROOMS,
        "crowded = crowd.networks >= EARLY_NETWORKS and seconds >= EARLY_SECONDS",
        "crowded = crowd.networks >= EARLY_NETWORKS",
        (ANONYMISER + "test_a_crowd_that_grows_large_leaves_before_the_hour",),
    ),
    Mutant(
        "early-only-if-full",
        "Every shop with many visitors has batches of ten minutes instead of the hour.",
        ROOMS,
        "return crowded and 2 * crowd.waiting >= self._most(crowd)",
        "return crowded",
        (ANONYMISER + "test_a_crowd_that_is_not_large_waits_for_the_hour",),
    ),
    Mutant(
        "half-for-the-others",
        "A flood of one shop blinds all shops of the gateway for an hour.",
        ROOMS,
        "return (MOST_WAITING - (self._waiting - crowd.waiting)) // 2",
        "return MOST_WAITING - (self._waiting - crowd.waiting)",
        (ANONYMISER + "test_a_flood_of_three_shops_leaves_room_for_all_others",),
    ),
    Mutant(
        "waiting-in-steps",
        "A quiet shop's gauge rises by one with every contribution.",
        ROOMS,
        "self._waiting // TOLD_IN * TOLD_IN",
        "self._waiting",
        (ANONYMISER + "test_how_many_wait_is_told_in_steps_and_by_the_minute",),
    ),
    Mutant(
        "waiting-by-the-minute",
        "The gauge says to the second when the hundredth contribution came.",
        ROOMS,
        "if minute != self._told:",
        "if minute:",
        (ANONYMISER + "test_how_many_wait_is_told_in_steps_and_by_the_minute",),
    ),
    Mutant(
        "sick-lane-last",
        "One lane without a leader holds the crowds of all others until too much waits.",
        "services/gateway/clicks/departures.py",
        "                self._last(lane)\n",
        "",
        (ANONYMISER + "test_a_lane_that_kafka_cannot_take_holds_no_other",),
    ),
    Mutant(
        "last-try-for-every-lane",
        "A gateway stops, and one lane without a leader costs the crowds of all others.",
        "services/gateway/clicks/anonymiser.py",
        "await self._send(refusals=LANES)",
        "await self._send()",
        (ANONYMISER + "test_who_stops_loses_one_sick_lane_and_no_other",),
    ),
    Mutant(
        "last-try-ends",
        "A gateway waits for a silent Kafka until it is killed, and nobody hears what was lost.",
        "services/gateway/clicks/anonymiser.py",
        "            async with asyncio.timeout(LAST_SECONDS):",
        "            async with asyncio.timeout(None):",
        (ANONYMISER + "test_who_stops_does_not_wait_for_a_kafka_that_says_nothing",),
        fails_by=("TimeoutError",),
    ),
    Mutant(
        "clicks-beside-orders",
        "While a lane of clicks has no leader every order waits ten seconds.",
        "services/gateway/app.py",
        "Anonymiser(keyring, clicks, clock",
        "Anonymiser(keyring, behind, clock",
        ("tests/unit/test_clicks_beside_orders.py::test_a_sick_lane_of_clicks_holds_no_order",),
    ),
)
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
        'root = key.mac(joined("crowd", str(crowd), *parts))',
        'root = hashlib.blake2b(joined("crowd", str(crowd), *parts)).digest()',
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
    *FLOODED,
)
