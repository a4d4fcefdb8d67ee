"""Guards of the edge: the door for storefronts, the contracts, the JSON, the logs."""

from tests.faults.mutants.mutant import Mutant

BAD = "tests/unit/test_gateway_bad_input.py::"
EVENTS = "tests/unit/test_gateway_events.py::"
WISHES = "tests/unit/test_gateway_erasures.py::"
TOKENS = "tests/unit/kernel/test_doorkeeper.py::"
JSON = "tests/unit/test_strict_json.py::"
CASE = BAD + "test_bad_input_is_refused_by_name_without_its_value"
LOG = "tests/unit/test_telemetry_log.py::"

DOOR = (
    Mutant(
        "storefront-token",
        "A token that begins like another's is that storefront's.",
        "services/kernel/http/doorkeeper.py",
        "return owner if hmac.compare_digest(known, digest) else None",
        "return owner or None",
        (TOKENS + "test_a_digest_that_only_begins_like_a_known_one_lets_nobody_in",),
    ),
    Mutant(
        "revoked-within-seconds",
        "A revoked token is good for as long as the gateway runs.",
        "services/kernel/http/recent.py",
        "if age > STALE_SECONDS:",
        "if age == float('inf'):",
        (
            TOKENS + "test_a_revoked_token_is_refused_within_five_seconds",
            TOKENS + "test_without_the_list_nobody_is_let_in",
        ),
    ),
    Mutant(
        "token-before-body",
        "Whoever may not call makes the gateway read and parse eight megabytes.",
        "services/gateway/events.py",
        "storefront = await self._doorkeeper.storefront(head.authorization)\n        check_head(head)",
        "check_head(head)\n        read_body(await read_bytes(receive)); "
        "storefront = await self._doorkeeper.storefront(head.authorization)",
        (BAD + "test_a_wrong_token_is_refused_before_the_body_is_read",),
    ),
    Mutant(
        "acknowledged-when-kafka-has-it",
        "The shop believes that an order is taken, and it is lost with the gateway.",
        "services/gateway/intake.py",
        "await self._behind.send(messages)",
        '__import__("asyncio").ensure_future(self._behind.send(messages))',
        (EVENTS + "test_nothing_is_acknowledged_before_kafka_has_it",),
    ),
    Mutant(
        "erased-is-gone",
        "The gateway takes an event of an erased person and puts it on Kafka.",
        "services/gateway/intake.py",
        "return _REFUSED.get(next(states), {})",
        "return {} if next(states) else {}",
        (
            EVENTS + "test_an_erased_subject_is_gone",
            EVENTS + "test_another_storefronts_subject_is_forbidden_and_nothing_more_is_told",
        ),
    ),
    Mutant(
        "foreign-wish",
        "One shop has another shop's customer erased.",
        "services/gateway/erasures.py",
        "if state is SubjectState.FOREIGN:",
        "if state is None:",
        (WISHES + "test_another_storefronts_subject_is_not_ones_to_erase",),
    ),
    Mutant(
        "request-ids-not-reused",
        "A request id that was used for one person tells of another.",
        "services/gateway/erasures.py",
        "if (stored.storefront, stored.commitment) != (wanted.storefront, wanted.commitment):",
        "if not stored.storefront:",
        (WISHES + "test_an_id_used_for_something_else_is_a_conflict",),
    ),
    Mutant(
        "own-requests-only",
        "A shop reads the progress and the certificate of another shop's customer.",
        "services/gateway/erasures.py",
        "if found is None or found.storefront != storefront:",
        "if found is None:",
        (WISHES + "test_only_the_storefront_that_asked_is_told",),
    ),
    Mutant(
        "own-id-brings-own-salt",
        "A repeat cannot be told from another person's request.",
        "services/gateway/erasures.py",
        "if wish.id is None or wish.salt is not None:",
        "if wish:",
        (WISHES + "test_an_own_id_needs_an_own_salt",),
    ),
    Mutant(
        "exact-times-stay-out",
        "The exact second of a person's act stands in every log's headers for a week.",
        "schemas/envelope.py",
        "return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)",
        "return moment.astimezone(UTC).replace(microsecond=0)",
        (EVENTS + "test_the_senders_time_travels_as_its_hour",),
    ),
    Mutant(
        "no-report-of-a-fault",
        "A bug's message, which quotes the customer, is answered or logged.",
        "services/gateway/http.py",
        "    except Exception as error:  # noqa: BLE001 - the server's own report of it would quote a value\n"
        '        _log.error("request failed", exc_info=error)\n',
        '    except ArithmeticError as error:\n        _log.error("request failed", exc_info=error)\n',
        (BAD + "test_a_fault_says_nothing_of_what_it_was_handling",),
        fails_by=("RuntimeError",),
    ),
    Mutant(
        "body-size",
        "One sender fills the gateway's memory.",
        "services/gateway/body.py",
        "if len(body) > most_bytes:",
        "if len(body) < 0:",
        ("tests/unit/test_gateway_server.py::test_a_body_that_turns_out_too_large_is_refused",),
    ),
    Mutant(
        "event-size",
        "An event that no topic takes is sealed and sent.",
        "services/gateway/submission.py",
        "if len(encoded) > EVENT_BYTES:",
        "if len(encoded) < 0:",
        (CASE + "[event over 256 KiB]",),
    ),
    Mutant(
        "events-per-body",
        "One body keeps the gateway busy for minutes.",
        "services/gateway/submission.py",
        "if not 0 < len(content) <= MOST_EVENTS:",
        "if not content:",
        (CASE + "[too many events]",),
    ),
    Mutant(
        "unknown-names-unsaid",
        "A field that a sender made up, a name or an address, is repeated in the answer.",
        "schemas/strict_json.py",
        'return ".".join("*" if isinstance(step, int) else step if step in known else "?" for step in location)',
        'return ".".join("*" if isinstance(step, int) else step for step in location)',
        (CASE + "[extra field]", JSON + "test_a_broken_contract_is_told_by_code_and_declared_names_only"),
    ),
)

STRICT = (
    Mutant(
        "duplicate-keys",
        "What the gateway checks is not what the worker stores: each takes another of two equal keys.",
        "schemas/strict_json.py",
        'if bare.count(b":") != seen.keys:',
        "if not bare:",
        (JSON + "test_a_duplicate_key_is_found_wherever_it_is", CASE + "[key twice]"),
    ),
    Mutant(
        "depth",
        "A text of brackets takes the stack of whoever reads it next.",
        "schemas/strict_json.py",
        'return _Seen("too-deep", keys, huge)',
        'return _Seen("", keys, huge)',
        (CASE + "[depth 33]",),
    ),
    Mutant(
        "numbers-that-are-none",
        "NaN compares with nothing: a total that is one is never wrong.",
        "schemas/strict_json.py",
        'return orjson.loads(data), ""',
        'return __import__("json").loads(data), ""',
        (CASE + "[NaN]", CASE + "[infinity]"),
    ),
    Mutant(
        "numbers-that-lose-digits",
        "An amount beyond 64 bits is another amount after the first reader.",
        "schemas/strict_json.py",
        "if not all(_fits(match[0]) for match in _LONG_INTEGER.finditer(bare)):",
        "if not bare:",
        (CASE + "[beyond 64 bits]", JSON + "test_what_has_no_one_meaning_is_refused_with_a_code"),
        also=(("elif kind is int and not -MOST_INTEGER - 1 <= each <= MOST_INTEGER:", "elif kind is None:"),),
    ),
    Mutant(
        "nul",
        "A NUL stops PostgreSQL, and the lane with it.",
        "schemas/strict_json.py",
        'return "nul" if b"\\\\u0000" in data and _holds_nul(value) else ""',
        'return ""',
        (CASE + "[NUL]",),
    ),
    Mutant(
        "workers-read-strictly-too",
        "A partner's update says one thing to us and another to whoever audits it.",
        "services/kernel/worker/decode.py",
        "value = record.value if record.topic in self._our_own else _unambiguous(record.value)",
        "value = record.value",
        (
            "tests/unit/kernel/test_decode.py::test_an_ambiguous_record_is_a_dead_letter",
            "tests/unit/fuzz/test_records.py::test_an_update_with_a_key_twice_is_refused",
        ),
    ),
)

CONTRACTS = (
    Mutant(
        "classification",
        "A field that nobody has thought about travels in clear.",
        "schemas/privacy.py",
        "check_contract(cls, Contract, PersonalData)",
        "pass",
        ("tests/unit/test_privacy.py::test_a_field_that_is_not_classified_fails_when_it_is_declared",),
    ),
    Mutant(
        "personal-data-bounded",
        "Personal data of any length and shape is collected.",
        "schemas/privacy.py",
        "check_personal_data(cls, PersonalData)",
        "pass",
        ("tests/unit/test_privacy.py::test_personal_data_has_a_declared_shape_and_bound_too",),
    ),
    Mutant(
        "clear-text-has-a-form",
        "A clear field takes a name, an address, a phone number.",
        "schemas/classification.py",
        "if any(all(re.search(pattern, text) for pattern in patterns) for text in never):",
        "if not never:",
        ("tests/unit/test_privacy.py::test_a_field_that_is_not_classified_fails_when_it_is_declared",),
    ),
    Mutant(
        "plaintext-refused",
        "Plaintext stands where a sealed value belongs, and is passed on as one.",
        "schemas/sealed.py",
        "if not has_sealed_form(text):",
        "if not text:",
        (
            "tests/unit/test_privacy.py::test_plaintext_where_a_sealed_value_belongs_is_refused_and_not_repeated",
        ),
    ),
    Mutant(
        "sealed-shows-nothing",
        "A sealed value is printed whole into every log that prints its event.",
        "schemas/sealed.py",
        'return "Sealed(…)"',
        "return self.token",
        ("tests/unit/test_privacy.py::test_a_sealed_value_shows_nothing_of_itself",),
    ),
    Mutant(
        "contracts-stay-strict",
        "A contract that takes unknown fields lets something personal travel in clear beside what it declares.",
        "schemas/classification.py",
        "if any(model.model_config.get(name) != value for name, value in wanted.items()):",
        "if not wanted:",
        ("tests/unit/test_privacy.py::test_a_contract_cannot_loosen_its_configuration",),
    ),
    Mutant(
        "attributes-once",
        "Two readers of one record see two subjects.",
        "schemas/envelope.py",
        "            if name in attributes:\n",
        "            if not name:\n",
        ("tests/unit/test_envelope.py::test_an_attribute_that_is_given_twice_is_refused",),
    ),
    Mutant(
        "attributes-have-a-form",
        "Free text, escapes for terminals and whole letters travel in headers that every tool shows.",
        "schemas/envelope.py",
        "if not 0 < len(text) <= MOST_CHARACTERS or not text.isprintable():",
        "if not text:",
        ("tests/unit/test_envelope.py::test_headers_that_are_no_envelope_are_refused_with_a_code",),
    ),
)

TOLD = (
    Mutant(
        "log-allow-list",
        "Subjects, orders and values are logged by whoever wants to.",
        "services/kernel/telemetry/log.py",
        "return (key in KEYWORDS or key in _SET_HERE) and _harmless(value)",
        "return _harmless(value)",
        (LOG + "test_a_keyword_that_is_not_allow_listed_is_dropped_and_counted",),
        fails_by=("KeyError",),
    ),
    Mutant(
        "log-values-are-names",
        "An allowed keyword takes a person's name.",
        "services/kernel/telemetry/log.py",
        "return (key in KEYWORDS or key in _SET_HERE) and _harmless(value)",
        "return key in KEYWORDS or key in _SET_HERE",
        (LOG + "test_a_value_that_is_no_short_name_is_dropped_even_under_an_allowed_keyword",),
        fails_by=("KeyError", "TypeError"),
    ),
    Mutant(
        "log-events-are-constants",
        "A value formatted into the event is logged with it.",
        "services/kernel/telemetry/log.py",
        'kept["event"] = event if _EVENT.fullmatch(event) else "unnamed"',
        'kept["event"] = event',
        (LOG + "test_an_event_that_is_no_constant_phrase_is_not_said",),
    ),
    Mutant(
        "exceptions-without-messages",
        "An exception's message quotes the row it failed on.",
        "services/kernel/telemetry/log.py",
        'return said | {"error": type(error).__name__, "where": _innermost(error.__traceback__)}',
        'return said | {"error": str(error).replace(" ", "_")[:200] or "-", "where": "-"}',
        (LOG + "test_a_foreign_exception_keeps_its_message_to_itself",),
        fails_by=("KeyError",),
    ),
    Mutant(
        "no-plan-is-kept",
        "A plan made for an empty table is kept while the table grows: every mint reads all people, for a minute.",
        "services/kernel/storage/postgres.py",
        '    "plan_cache_mode": "force_custom_plan",\n',
        "",
        ("tests/contract/test_storage.py::test_no_plan_is_kept_from_when_a_table_was_small",),
    ),
    Mutant(
        "driver-errors-translated",
        "A database error carries the row that it refused.",
        "services/kernel/storage/postgres.py",
        "        except DRIVER_ERRORS as error:\n            raise translate(error) from None\n\n"
        "    async def positions(self, lane: str, partitions",
        "        except ArithmeticError as error:\n            raise translate(error) from None\n\n"
        "    async def positions(self, lane: str, partitions",
        ("tests/contract/test_storage.py::test_a_refusal_of_the_database_carries_a_code_and_no_value",),
        fails_by=("UniqueViolationError",),
    ),
    Mutant(
        "metric-labels-bounded",
        "A label takes any text, and the metrics page holds it for ever.",
        "services/kernel/telemetry/metrics.py",
        "held = tuple(each if _NAME.fullmatch(each) else OTHER for each in asked)",
        "held = asked",
        ("tests/unit/test_telemetry_metrics.py::test_a_label_value_that_is_no_name_is_counted_as_other",),
    ),
)
