"""Guards of the workers' own rules: orders, shipments, partners."""

from tests.faults.mutants.mutant import Mutant

DISPATCH = "tests/unit/test_dispatch_domain.py::"
FLOW = "tests/unit/test_dispatch_flow.py::"
LABELS = "tests/unit/test_dispatch_labels.py::"
SIGNED = "tests/unit/test_dispatch_agreements.py::"

WORKERS = (
    Mutant(
        "order-foreign",
        "One person's event changes another person's order.",
        "services/orders/domain.py",
        "if order.subject != given.subject:",
        "if not order.subject:",
        ("tests/unit/test_orders_domain.py::test_an_order_id_of_another_person_is_refused",),
    ),
    Mutant(
        "invoice-held-before-it-exists",
        "An order that outlives its customer's erasure can never be paid.",
        "services/orders/domain.py",
        "UNPAID = (*WHILE_OPEN, Category.ACCOUNTING)",
        "UNPAID = WHILE_OPEN",
        (
            "tests/unit/test_orders_domain.py::"
            "test_a_placed_order_is_held_whole_so_that_it_can_still_be_paid_after_an_erasure",
            FLOW + "test_a_held_order_of_an_erased_person_can_still_be_paid",
        ),
        fails_by=("AttributeError",),
    ),
    Mutant(
        "closed-orders-release",
        "The grounds of a closed order never end: its person is never forgotten.",
        "services/orders/domain.py",
        "return Decision(closed, (_ship(closed, ShipmentClosed(order=order.id)), _release(closed, WHILE_OPEN)))",
        "return Decision(closed, (_ship(closed, ShipmentClosed(order=order.id)),))",
        (
            "tests/unit/test_orders_domain.py::test_delivery_starts_the_returns_window_and_its_end_closes_the_order",
        ),
        fails_by=("ValueError",),
    ),
    Mutant(
        "unheld-parts-erased",
        "An invoice that the law keeps takes basket and address along.",
        "services/orders/store.py",
        "if (order.id, kind) not in but}",
        "if order.id not in {scope for scope, _ in but}}",
        ("tests/integration/test_orders_store.py::test_only_what_is_held_stays_in_a_row",),
    ),
    Mutant(
        "reference-foreign",
        "One carrier reports, or acknowledges, for another carrier's parcels.",
        "services/dispatch/domain.py",
        "if copy.partner != partner:",
        "if not copy.partner:",
        (
            DISPATCH + "test_an_update_for_no_parcel_or_another_partners_is_refused",
            FLOW + "test_updates_for_unknown_and_foreign_references_are_dead_letters_and_change_nothing",
        ),
        fails_by=("TimeoutError",),
    ),
    Mutant(
        "partner-is-who-may-write",
        "A carrier is whoever a record says it is.",
        "services/dispatch/updates.py",
        "partner_of(received.record.topic)",
        'received.envelope.source.rpartition("/")[2]',
        (FLOW + "test_updates_for_unknown_and_foreign_references_are_dead_letters_and_change_nothing",),
        fails_by=("TimeoutError",),
    ),
    Mutant(
        "no-agreement-no-record",
        "A carrier gets addresses without a contract, or after its end.",
        "services/dispatch/agreements.py",
        "return self.scope == SCOPE and self.valid_from <= at < self.ends_at",
        "return self.scope == SCOPE",
        (SIGNED + "test_an_agreement_is_in_force_from_its_first_to_before_its_last_moment",),
    ),
    Mutant(
        "agreed-fields-only",
        "A carrier gets all of an address, whatever was agreed.",
        "services/dispatch/projection.py",
        "for name in FIELDS if name in named and parts[name] is not None}",
        "for name in FIELDS if parts[name] is not None}",
        (
            SIGNED + "test_only_named_fields_that_exist_are_projected",
            LABELS + "test_the_partner_and_nobody_else_reads_the_agreed_fields",
        ),
    ),
    Mutant(
        "label-opened-when-it-leaves",
        "A label is opened as what it is not: no key of another category fits it.",
        "services/dispatch/labels.py",
        'ref = KeyRef(row.subject or "", Category.LOGISTICS, label.order)',
        'ref = KeyRef(row.subject or "", Category.TRANSACTION, label.order)',
        (LABELS + "test_the_partner_and_nobody_else_reads_the_agreed_fields",),
        fails_by=("AttributeError",),
    ),
    Mutant(
        "erasure-revokes-copies",
        "A partner keeps its copy of an erased person's address, because nobody told it.",
        "services/dispatch/domain.py",
        "return revoke(terms, bare, RevocationReason.ERASED, at)",
        "return Decision(replace(bare, stage=Stage.REVOKED, reason=RevocationReason.ERASED, due_at=at))",
        (DISPATCH + "test_erasing_an_offered_shipment_revokes_and_keeps_what_the_acknowledgement_needs",),
        fails_by=("ValueError",),
    ),
    Mutant(
        "reminders-outlive-erasure",
        "A revocation that a partner missed is never sent again once its person is erased.",
        "services/dispatch/domain.py",
        "return Decision(bare, timers=(_reminder(terms, bare),))",
        "return Decision(bare)",
        (DISPATCH + "test_erasing_what_was_revoked_before_waits_on_without_telling_twice",),
    ),
    Mutant(
        "references-cut",
        "A reference leads from a partner's books to a person who was erased and acknowledged.",
        "services/dispatch/domain.py",
        "reference = None if shipment.request else shipment.reference",
        "reference = shipment.reference",
        (DISPATCH + "test_once_acknowledged_the_reference_of_an_erased_person_is_gone",),
    ),
    Mutant(
        "kept-rows-are-named",
        "An owner keeps a row by a ground and does not say so: it looks like nothing found.",
        "services/dispatch/rights.py",
        "held for held in erasing.but if held.category is Category.LOGISTICS and held.scope in kept",
        "held for held in erasing.but if held.category is Category.IDENTITY and held.scope in kept",
        ("tests/integration/test_dispatch_store.py::test_what_an_open_order_needs_is_kept_and_named",),
    ),
    Mutant(
        "partner-keys-on-their-curve",
        "A point of small order as public key: everybody opens what is sealed for it.",
        "services/dispatch/partners.py",
        'seal_for(key, "trial", b"{}")',
        'str("trial")',
        (SIGNED + "test_a_key_that_is_not_what_it_says_is_refused",),
    ),
    Mutant(
        "partner-keys-public",
        "A partner's private key lies in our registry.",
        "services/dispatch/partners.py",
        'if jwk.keys() & {"d", "p", "q", "k", "oth"}:',
        "if not jwk:",
        (SIGNED + "test_a_key_that_is_not_what_it_says_is_refused",),
    ),
    Mutant(
        "shipment-foreign",
        "One person's order id changes another person's shipment.",
        "services/dispatch/domain.py",
        "case _, ShipmentRequested() if shipment.subject != given.subject:",
        "case _, ShipmentRequested() if not shipment.subject:",
        (DISPATCH + "test_an_order_of_another_person_is_refused",),
    ),
)

PLATFORM = (
    Mutant(
        "acl-deny-by-default",
        "A topic without a rule is everybody's.",
        "deploy/settings.py",
        '"allow.everyone.if.no.acl.found": "false",',
        '"allow.everyone.if.no.acl.found": "true",',
        ("tests/integration/test_platform_rights.py::test_what_nobody_was_granted_nobody_may",),
        own_platform=True,
    ),
    Mutant(
        "acl-from-the-matrix",
        "Every worker reads every topic.",
        "services/kernel/broker/grants.py",
        'wanted |= {Grant(each, "READ", "TOPIC", topic.name) for each in topic.readers}',
        'wanted |= {Grant(each, "READ", "TOPIC", topic.name) for each in {*topic.readers, *principals}}',
        (
            "tests/integration/test_platform_rights.py::test_a_partner_has_its_own_two_topics_and_group_and_nothing_else",
        ),
    ),
    Mutant(
        "partner-prefix",
        "Partner `north` uses the groups of partner `north-west`.",
        "services/kernel/broker/grants.py",
        'Grant(principal, "READ", "GROUP", f"{principal}.", True),',
        'Grant(principal, "READ", "GROUP", f"{principal}", True),',
        (
            "tests/integration/test_platform_rights.py::test_a_partner_has_its_own_two_topics_and_group_and_nothing_else",
        ),
    ),
    Mutant(
        "topics-appear-by-word-only",
        "A spelling mistake makes a topic that nobody reads and no rule covers.",
        "deploy/settings.py",
        '"auto.create.topics.enable": "false",',
        '"auto.create.topics.enable": "true",',
        ("tests/integration/test_platform_rights.py::test_no_topic_appears_by_being_asked_for",),
        own_platform=True,
    ),
    Mutant(
        "schema-of-its-own",
        "A worker that was taken over reads the rows of all the others.",
        "deploy/local/access.py",
        'CREATE SCHEMA IF NOT EXISTS "{role}" AUTHORIZATION "{role}";',
        'CREATE SCHEMA IF NOT EXISTS "{role}" AUTHORIZATION "{role}"; GRANT ALL ON SCHEMA "{role}" TO PUBLIC; '
        'ALTER DEFAULT PRIVILEGES FOR ROLE "{role}" GRANT ALL ON TABLES TO PUBLIC;',
        ("tests/integration/test_platform_rights.py::test_a_role_sees_its_own_schema_and_no_other",),
        own_platform=True,
    ),
    Mutant(
        "database-of-its-own",
        "Every role may enter every database, the keyring's too.",
        "deploy/local/access.py",
        'closed = (f\'REVOKE ALL ON DATABASE "{each}" FROM PUBLIC;\' for each in (database, "postgres", "template1"))',
        'closed = (f\'GRANT ALL ON DATABASE "{each}" TO PUBLIC;\' for each in (database, "postgres", "template1"))',
        ("tests/integration/test_platform_rights.py::test_a_role_enters_its_own_database_only",),
        own_platform=True,
    ),
)
