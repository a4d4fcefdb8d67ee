"""Guards of what recommendations reads, remembers and tells."""

from tests.faults.mutants.mutant import Mutant

KEEPER = "tests/unit/test_recommendations_keeper.py::"
FENCE = "tests/unit/test_recommendations_fence.py::"
WORKER = "services/recommendations/"

LISTS = (
    Mutant(
        "read-committed",
        "What a worker took back is in a list, and in the table for ever.",
        WORKER + "fence.py",
        "        consumer._isolation_level = COMMITTED",
        "        consumer._isolation_level = consumer._isolation_level",
        (
            FENCE + "test_its_consumer_reads_committed_records_only",
            "tests/integration/test_recommendations.py::test_an_aborted_record_changes_no_table",
        ),
        own_platform=True,
    ),
    Mutant(
        "read-when-nothing-drops",
        "Faust empties its queues after it has begun to read: those records are never seen, and nobody hears.",
        WORKER + "fence.py",
        "        super().resume_partitions(set(tps) - later)",
        "        super().resume_partitions(set(tps))",
        (FENCE + "test_statistics_are_read_from_when_nothing_drops_them_any_more",),
    ),
    Mutant(
        "paused-stays-paused",
        "A partition that was dealt out anew is read before its place has been sought.",
        WORKER + "fence.py",
        "        self._waiting -= paused\n",
        "        self._waiting -= set()\n",
        (FENCE + "test_a_rebalance_in_between_takes_the_partition_back",),
    ),
    Mutant(
        "fetch-for-its-partitions",
        "A fetch under way whose partitions were all paused takes those of every partition, and Faust drops them.",
        WORKER + "fence.py",
        "super()._getmany(set(active_partitions or ()), ",
        "super()._getmany(active_partitions, ",
        (FENCE + "test_a_fetch_ends_with_what_it_was_begun_with_before_anything_is_sought",),
    ),
    Mutant(
        "seek-after-fetch",
        "A fetch under way moves on from where was sought: what it brings was read for a recovery that is over.",
        WORKER + "fence.py",
        "        async with self._moving:\n            await super().perform_seek()",
        "        async with asyncio.Lock():\n            await super().perform_seek()",
        (FENCE + "test_a_fetch_ends_with_what_it_was_begun_with_before_anything_is_sought",),
    ),
    Mutant(
        "shop-in-its-lane",
        "Two instances each know some of a shop's numbers, and tell two lists of it.",
        WORKER + "keeper.py",
        "        if lane_of_shop(said.storefront) != record.partition:",
        "        if lane_of_shop(said.storefront) < 0:",
        (KEEPER + "test_what_breaks_its_contract_is_passed_by",),
    ),
    Mutant(
        "window-of-tomorrow",
        "One number of a far day is the latest for ever: what is hot is measured by it.",
        WORKER + "keeper.py",
        "        if began(said.window) > today + AHEAD:",
        "        if began(said.window) > today + 99 * AHEAD:",
        (KEEPER + "test_what_breaks_its_contract_is_passed_by",),
    ),
    Mutant(
        "done-when-acknowledged",
        "A record is done before Kafka has what it changed: killed in between, its number is lost.",
        WORKER + "keeper.py",
        "            await self._sent(messages)\n        for done in held:\n            done()\n",
        "            for done in held:\n                done()\n            await self._sent(messages)\n",
        (
            KEEPER + "test_nothing_is_done_while_kafka_is_away",
            KEEPER + "test_a_save_that_is_cancelled_leaves_its_records_undone",
        ),
    ),
    Mutant(
        "told-by-the-owner",
        "Who loses a shop goes on telling its lists, behind those that the new owner tells.",
        WORKER + "keeper.py",
        "        return self._ours() and self._shops.get(shop.name) is shop",
        "        return self._shops.get(shop.name) is shop",
        (KEEPER + "test_a_rebalance_stops_what_is_being_told",),
    ),
    Mutant(
        "owner-has-recovered",
        "Lists are made of half a table: while partitions are dealt out, or the changelog is read.",
        WORKER + "app.py",
        "ours=lambda: app.recovered,",
        "ours=lambda: True,",
        (FENCE + "test_its_keeper_tells_nothing_until_it_has_recovered",),
    ),
    Mutant(
        "changelog-of-our-own",
        "Faust writes the changelog too, from a queue that nobody waits for: an older number lands on a newer one.",
        WORKER + "fence.py",
        '    def on_key_set(self, key: bytes, value: bytes) -> None:\n        """Send nothing."""',
        "    def on_key_set(self, key: bytes, value: bytes) -> None:\n        super().on_key_set(key, value)",
        (FENCE + "test_its_table_writes_no_changelog",),
        # What Faust says to whoever would write the changelog from outside its own reading.
        fails_by=("TypeError",),
    ),
    Mutant(
        "own-bug-ends-it",
        "Faust logs an error of our own code and goes on to the next record: the number is lost, and nobody hears.",
        WORKER + "fence.py",
        "            self.bug = error\n",
        "            self.bug = None\n",
        (FENCE + "test_an_error_of_our_own_is_kept_and_stops_the_reading",),
    ),
)
