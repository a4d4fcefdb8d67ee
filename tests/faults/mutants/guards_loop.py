"""Guards of the worker loop: lanes, progress, suppression, failures, and what leaves."""

from tests.faults.mutants.mutant import Mutant

LOOP = "tests/unit/kernel/test_loop.py::"
GUARDS = "tests/unit/kernel/test_loop_guards.py::"
WORKER = "services/kernel/worker/"

LANES = (
    Mutant(
        "lane-lock",
        "A paused owner decides on a suppression list from before it had the lane: a row outlives its receipt.",
        "services/kernel/storage/queries.sql",
        "FROM lane WHERE lane = $1 FOR UPDATE",
        "FROM lane WHERE lane = $1",
        (
            "tests/contract/test_storage.py::test_only_one_transaction_of_a_lane_runs_at_a_time[postgres]",
            "tests/contract/test_storage.py::test_what_is_read_after_the_lock_is_what_the_last_owner_wrote[postgres]",
        ),
    ),
    Mutant(
        "from-position",
        "A zombie owner folds a batch again that its successor has folded: effects are doubled.",
        WORKER + "turn.py",
        "if any(stored.get(partition) != offset for partition, offset in batch.fetched_from.items()):",
        "if not stored:",
        (LOOP + "test_a_batch_fetched_from_elsewhere_is_given_up",),
    ),
    Mutant(
        "read-committed-snapshots",
        "Under REPEATABLE READ a statement does not see the key that was minted while it waited for its lock.",
        "services/kernel/storage/postgres.py",
        "async with self.pool.acquire(timeout=5) as connection, connection.transaction():",
        'async with self.pool.acquire(timeout=5) as connection, connection.transaction(isolation="repeatable_read"):',
        (
            "tests/contract/test_storage.py::test_what_is_read_after_the_lock_is_what_the_last_owner_wrote[postgres]",
            "tests/integration/test_keyring_races.py::test_a_race_ends_well[a_destruction_waits_for_a_mint_under_way]",
        ),
    ),
    Mutant(
        "stale-fetch-discarded",
        "Records fetched before a seek are taken after it: what lies between is skipped, orders are lost.",
        WORKER + "lane.py",
        "if epoch != self.epoch or records[0].offset < expected:",
        "if records[0].offset < expected:",
        (GUARDS + "test_what_was_fetched_before_a_seek_is_discarded",),
    ),
    Mutant(
        "failed-fetch-again",
        "What a fetch had read when it failed is skipped by the driver without a word: orders are lost.",
        "services/kernel/broker/kafka_consumer.py",
        "            self._fetch_again()\n            raise BrokerUnavailable",
        "            raise BrokerUnavailable",
        ("tests/unit/kernel/test_kafka_consumer.py::test_what_a_failing_fetch_had_in_hand_is_fetched_again",),
    ),
    Mutant(
        "headers-of-no-text",
        "One partner's record with a header that is no UTF-8 stops dispatch for all partners, at every restart.",
        "services/kernel/broker/kafka_consumer.py",
        "            self._fetch_again()\n            return await self._past_what_is_no_text()",
        "            raise",
        (
            "tests/unit/kernel/test_kafka_consumer.py::test_a_record_that_the_driver_cannot_decode_is_a_dead_letter",
            "tests/integration/test_loop_foreign.py::test_a_header_whose_name_is_no_text_stops_nobody",
        ),
    ),
    Mutant(
        "headers-without-a-value",
        "One partner's record with a header that has no value stops dispatch for all partners, at every restart.",
        "services/kernel/storage/postgres.py",
        '(value or b"").decode("utf-8", "replace")',
        'value.decode("utf-8", "replace")',
        ("tests/unit/fuzz/test_records.py::test_a_header_without_a_value_is_kept_as_one",),
    ),
    Mutant(
        "fetch-never-cancelled",
        "One cancelled fetch disables the driver's watchdog for good: a stuck worker keeps its lanes.",
        WORKER + "loop.py",
        "await asyncio.gather(fetching, *others, return_exceptions=True)",
        "fetching.cancel(); await asyncio.gather(fetching, *others, return_exceptions=True)",
        (GUARDS + "test_a_fetch_under_way_is_never_cancelled",),
    ),
    Mutant(
        "offsets-never-guessed",
        "A consumer without a position starts wherever the broker likes: records are skipped or read again.",
        "services/kernel/broker/kafka.py",
        'auto_offset_reset="none"',
        'auto_offset_reset="latest"',
        ("tests/contract/test_broker.py::test_nothing_is_fetched_before_somebody_said_from_where[kafka]",),
    ),
    Mutant(
        "only-committed-records",
        "Readers act on what an owner published and took back.",
        "services/kernel/broker/kafka.py",
        'auto_offset_reset="none",\n            isolation_level="read_committed",',
        'auto_offset_reset="none",',
        (
            "tests/contract/test_broker.py::test_what_is_no_longer_valid_at_the_commit_is_not_published[kafka]",
        ),
    ),
    Mutant(
        "batch-in-hand-finishes",
        "A rebalance tears a batch out of its owner's hand; with it every lane it had is late.",
        WORKER + "loop.py",
        "_, late = await asyncio.wait(tasks, timeout=REVOKE_SECONDS)",
        "_, late = await asyncio.wait(tasks, timeout=0)",
        (GUARDS + "test_a_rebalance_waits_for_the_batch_in_hand",),
    ),
)

RESTORED = (
    Mutant(
        "group-ahead-of-database",
        "A database older than what Kafka knows of it serves on, without the erasures it has lost.",
        WORKER + "lane.py",
        "committed.get(partition, 0) > offset or offset < beginnings[partition]",
        "offset < beginnings[partition]",
        (LOOP + "test_a_database_older_than_the_group_is_refused",),
    ),
    Mutant(
        "counter-below-published",
        "A restored lane gives numbers a second time: what it publishes is taken for published and dropped.",
        WORKER + "relay.py",
        'if not self._restored:\n                raise ConfigurationError("database-restored", lane=self._lane)',
        "pass",
        (LOOP + "test_a_lane_counter_below_the_published_position_is_refused",),
    ),
    Mutant(
        "records-expired-unread",
        "A worker that was away for longer than the topic keeps goes on as if nothing were missing.",
        WORKER + "lane.py",
        "committed.get(partition, 0) > offset or offset < beginnings[partition]",
        "committed.get(partition, 0) > offset",
        (LOOP + "test_records_that_expired_unread_are_refused",),
    ),
    Mutant(
        "topic-recreated",
        "Offsets of a topic that was made anew mean other records: the first ones are skipped.",
        WORKER + "loop.py",
        "if changed and not self._restored:",
        "if not names:",
        (LOOP + "test_a_recreated_topic_is_refused",),
    ),
    Mutant(
        "recreated-by-a-partner",
        "A partner's topic that was made anew is read from a position in the former one.",
        WORKER + "lane.py",
        "if found is not None and known.get(self.name) != found:",
        "if found is not None and self.name not in known:",
        (LOOP + "test_a_recreated_topic_is_read_from_its_beginning",),
    ),
)

ERASED = (
    Mutant(
        "suppression-row",
        "An order that comes in after its person's erasure is stored again.",
        WORKER + "fanout.py",
        "await tx.suppress(subject, command.request, command.round, pairs)",
        "pass",
        (LOOP + "test_erasure_removes_rows_and_stops_late_events",),
    ),
    Mutant(
        "suppression-filter",
        "The list of the erased is kept and nobody asks it.",
        WORKER + "turn.py",
        "if pairs is None or not each.event.suppressible or _excepted(each.event, pairs):",
        "if pairs is not None or True:",
        (
            LOOP + "test_erasure_removes_rows_and_stops_late_events",
            LOOP + "test_an_excepted_scope_lives_on_until_a_later_round",
        ),
    ),
    Mutant(
        "suppression-by-category",
        "An invoice held for the tax office lets a late address back in.",
        WORKER + "turn.py",
        "return bool(held) and carried <= held",
        "return bool(held)",
        (
            LOOP + "test_an_event_needs_a_ground_for_what_it_carries_not_just_for_its_order",
            "tests/unit/test_dispatch_flow.py::test_a_request_that_comes_after_its_persons_erasure_lets_no_address_in",
        ),
    ),
    Mutant(
        "ledger-before-data",
        "A new owner of a lane, or a new service, folds what came before it has read who is erased.",
        WORKER + "lane.py",
        "self._consumer.pause(self._behind_ledger())",
        "pass",
        (GUARDS + "test_nothing_is_read_before_the_erasures_known_at_assignment",),
    ),
    Mutant(
        "commands-first",
        "An order in one batch with its person's erasure is stored behind it, and published.",
        WORKER + "turn.py",
        "received = self._decode(batch.records, ledger)",
        "everything = self._decode(batch.records, ledger); "
        "received = [each for each in everything if each.record.topic != COMMANDS.name]",
        (GUARDS + "test_a_batch_that_brings_an_erasure_obeys_it_first",),
        also=(
            (
                "await self._record(tx, ledger)\n",
                "await self._obey(tx, [each for each in everything if each not in received], ledger); "
                "await self._record(tx, ledger)\n",
            ),
        ),
    ),
    Mutant(
        "forgotten-letters",
        "Dead letters, timers and outgoing rows of an erased person stay.",
        WORKER + "fanout.py",
        "dropped = await tx.forget(subject, pairs)",
        "dropped = 0",
        (LOOP + "test_dead_letters_of_an_erased_subject_go_with_it",),
    ),
    Mutant(
        "receipts-never-dropped",
        "An erasure that is repeated drops the receipt of the one before: the request never completes.",
        "services/kernel/storage/queries.sql",
        "DELETE FROM outbox WHERE subject = $1 AND sealed <> '{}'\n    AND EXISTS",
        "DELETE FROM outbox WHERE subject = $1 AND sealed = '{}' OR EXISTS",
        (
            "tests/contract/test_storage.py::"
            "test_forgetting_drops_what_is_sealed_and_not_excepted_and_nothing_else[postgres]",
        ),
    ),
    Mutant(
        "remembered-subjects",
        "An owner that looked under the wrong id says it never had anything, and is believed.",
        WORKER + "fanout.py",
        "stored=stored,",
        "stored=False,",
        (LOOP + "test_erasure_removes_rows_and_stops_late_events",),
    ),
    Mutant(
        "lane-of-the-subject",
        "A record in another lane than its person's is not serialised with the person's erasure.",
        WORKER + "decode.py",
        "if lane_of(subject, topic.partitions) != record.partition:",
        "if not topic.partitions:",
        (LOOP + "test_a_broken_record_leaves_coordinates_and_length_only",),
    ),
    Mutant(
        "subject-is-the-key",
        "A record is folded for one person and erased with another.",
        WORKER + "decode.py",
        "if not _SUBJECT.match(subject) or record.key != subject.encode():",
        "if not _SUBJECT.match(subject):",
        (LOOP + "test_a_broken_record_leaves_coordinates_and_length_only",),
    ),
)

FAILURES = (
    Mutant(
        "breaker",
        "A bad deploy empties a whole topic into the dead letters.",
        WORKER + "breaker.py",
        "if self._faults[topic] >= max(self.least, self.share * len(recent)):",
        "if self._faults[topic] > self.window:",
        (LOOP + "test_the_breaker_stops_a_worker_that_would_bury_a_topic",),
    ),
    Mutant(
        "breaker-counts-faults-only",
        "A storefront that cancels orders nobody placed stops the worker for everybody.",
        WORKER + "breaker.py",
        "for letter in letters if letter.blocks or letter.state_key is None)",
        "for letter in letters)",
        (LOOP + "test_no_storefront_can_open_the_breaker_by_what_a_rule_refuses",),
    ),
    Mutant(
        "breaker-spares-partners",
        "One partner who writes nonsense stops dispatch for all the others.",
        WORKER + "turn.py",
        "if self._worker.pattern is None:\n                self._breaker",
        "if True:\n                self._breaker",
        ("tests/unit/test_dispatch_flow.py::test_a_partner_who_writes_nonsense_stops_nobody",),
    ),
    Mutant(
        "parked-behind-a-letter",
        "Later records of an order are folded before the one that failed: paid before placed.",
        WORKER + "turn.py",
        "blocked = await tx.blocked(list({each.key for each in events})) if events else _NO_KEYS",
        "blocked = _NO_KEYS",
        (LOOP + "test_behind_a_failed_record_its_key_is_parked_and_others_go_on",),
    ),
    Mutant(
        "parked-within-a-batch",
        "The same, inside one batch.",
        WORKER + "fold.py",
        "if key in failed:",
        "if not key:",
        (GUARDS + "test_within_one_batch_too_a_key_waits_behind_its_failed_record",),
    ),
    Mutant(
        "bisect",
        "One record that the database refuses stops its lane, or takes its whole batch along.",
        WORKER + "turn.py",
        "await self._handle(lane, batch, careful=True)",
        "raise",
        (LOOP + "test_what_the_database_refuses_is_found_and_set_aside",),
    ),
    Mutant(
        "bisected-key-parks",
        "What the database refused is skipped, and its order goes on without it.",
        WORKER + "turn.py",
        "if handled[-1].ending == FAILED:",
        "if not handled:",
        (LOOP + "test_what_the_database_refuses_is_found_and_set_aside",),
    ),
    Mutant(
        "undecodable-bytes-not-kept",
        "Bytes of which nobody knows what they are lie in a table that no erasure finds them in.",
        WORKER + "turn.py",
        'field_path=str(error.fields.get("field_path", "")),\n        length',
        'field_path=str(error.fields.get("field_path", "")),\n        value=record.value,\n        length',
        (LOOP + "test_a_broken_record_leaves_coordinates_and_length_only",),
    ),
    Mutant(
        "redrive-brings-what-is-parked",
        "A mended record is folded behind what waited for it.",
        "services/kernel/storage/queries.sql",
        "WHERE asked.blocks AND behind.lane = $1 AND (behind.parked OR behind.blocks)",
        "WHERE asked.blocks AND behind.lane = $1 AND behind.blocks",
        (
            "tests/contract/test_storage.py::"
            "test_a_blocking_letter_blocks_its_key_until_redriven_with_what_is_parked[postgres]",
        ),
    ),
    Mutant(
        "side-tasks-fail-aloud",
        "A bug stops a worker's timers in silence.",
        WORKER + "loop.py",
        "            await work()\n        except Exception as error:",
        "            await work()\n        except LookupError as error:",
        ("tests/unit/kernel/test_watch.py::test_a_bug_in_a_side_task_ends_the_worker",),
    ),
    Mutant(
        "repeats-change-nothing",
        "A storefront that repeats itself makes a second shipment.",
        "services/orders/domain.py",
        "case OrderPlaced():\n            return Decision(order)",
        "case OrderPlaced():\n            return _begin(event, given)",
        ("tests/unit/test_orders_repeats.py::test_any_earlier_stretch_again_changes_and_says_nothing",),
    ),
)

LEAVES = (
    Mutant(
        "outbox-position",
        "What a killed owner had published and not yet deleted is published again.",
        WORKER + "relay.py",
        "await self._storage.published(self._lane, position)",
        "pass",
        (
            LOOP + "test_outgoing_rows_left_by_a_killed_owner_are_published_once",
            "tests/unit/kernel/test_relay.py::test_a_takeover_that_half_failed_publishes_nothing_twice",
        ),
    ),
    Mutant(
        "spent-producer",
        "A takeover that half failed goes on with a producer that has fenced, beside a table it has not cleaned.",
        WORKER + "relay.py",
        "await self.stop()\n            raise\n        await self.publish()",
        "raise\n        await self.publish()",
        ("tests/unit/kernel/test_relay.py::test_a_takeover_that_half_failed_publishes_nothing_twice",),
    ),
    Mutant(
        "fencing",
        "A zombie owner publishes beside its successor: every event twice, and out of order.",
        "services/kernel/broker/kafka.py",
        'transactional_id = f"{worker}.{lane.topic}.{lane.partition}"',
        'transactional_id = f"{worker}.{lane.topic}.{lane.partition}." + __import__("secrets").token_hex(4)',
        ("tests/contract/test_broker.py::test_a_new_owner_fences_the_old_one[kafka]",),
    ),
    Mutant(
        "position-in-the-transaction",
        "Records and position part: after a kill rows are published twice, or never.",
        "services/kernel/broker/kafka_producers.py",
        "await producer.send_offsets_to_transaction(position, self._group)",
        "pass",
        (
            "tests/contract/test_broker.py::test_an_outbox_remembers_its_position_with_what_it_published[kafka]",
        ),
    ),
    Mutant(
        "valid-at-the-commit",
        "A label opened on a lease that is over leaves all the same: later than the certificate's unreadable_at.",
        "services/kernel/broker/kafka_producers.py",
        "            valid()\n",
        "",
        (
            "tests/contract/test_broker.py::test_what_is_no_longer_valid_at_the_commit_is_not_published[kafka]",
        ),
    ),
    Mutant(
        "oversize-refused-before-commit",
        "A row that Kafka will never take blocks its lane for ever.",
        WORKER + "outgoing.py",
        "if value is not None and len(value) > MOST_BYTES:",
        "if value is not None and not value:",
        (GUARDS + "test_what_kafka_would_refuse_is_refused_before_the_commit",),
    ),
    Mutant(
        "derived-ids",
        "The same event decided again has another id: whoever folds by ids takes it for a new one.",
        WORKER + "outgoing.py",
        "event_id = derived_id(self._source, cause, event_type, ordinals[event_type])",
        "event_id = derived_id(self._source, cause + str(id(each)) + str(at), event_type, ordinals[event_type])",
        (LOOP + "test_two_owners_that_answer_one_command_use_different_ids",),
    ),
    Mutant(
        "ids-name-their-source",
        "Two owners answer one command under one id, and the second answer is swallowed.",
        "services/kernel/ids.py",
        '"\\x1f".join((source, cause, event_type, str(ordinal)))',
        '"\\x1f".join((cause, event_type, str(ordinal)))',
        (LOOP + "test_two_owners_that_answer_one_command_use_different_ids",),
    ),
)
