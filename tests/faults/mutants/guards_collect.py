"""Guards of the door for clicks: who is not read, what is not read, and whose address counts."""

from tests.faults.mutants.mutant import Mutant

COLLECT = "tests/unit/test_clicks_collect.py::"
ADAPTERS = "tests/unit/test_clicks_adapters.py::"
PARTS = "tests/unit/test_clicks_door_parts.py::"
DOOR = "services/gateway/clicks/"

CLICKS = (
    Mutant(
        "who-refuses-is-not-read",
        "Somebody says Sec-GPC or DNT, and is counted all the same.",
        DOOR + "collect.py",
        "if head.refused:",
        "if head.refused and head.refused is None:",
        (COLLECT + "test_of_somebody_who_refuses_nothing_is_read",),
    ),
    Mutant(
        "either-word-is-a-refusal",
        "Who says DNT, as people have been told to for years, is counted.",
        "services/kernel/http/objecting.py",
        '(b"sec-gpc", b"dnt")',
        '(b"sec-gpc",)',
        (COLLECT + "test_of_somebody_who_refuses_nothing_is_read",),
    ),
    Mutant(
        "programs-are-not-visitors",
        "Crawlers are a crowd: what one person searched for is published.",
        DOOR + "collect.py",
        "if self._bots.is_bot(head.agent):",
        "if not head.agent:",
        (COLLECT + "test_programs_are_not_counted",),
    ),
    Mutant(
        "only-the-shops-pages",
        "Any page of the web adds to a shop's numbers.",
        DOOR + "collect.py",
        'if head.origin.decode("latin-1") not in site.origins:',
        "if not head.origin:",
        (COLLECT + "test_only_pages_of_the_shop_may_send",),
    ),
    Mutant(
        "orders-are-refused-by-name",
        "An order's items come in as clicks, with the order's number beside them.",
        DOOR + "reading.py",
        "why = REFUSED.get(name)",
        "why = REFUSED.get(name[:0])",
        (
            COLLECT + "test_checkout_contact_and_order_events_are_refused_by_name",
            ADAPTERS + "test_snowplows_checkout_and_orders_are_refused",
            ADAPTERS + "test_shopifys_checkout_is_refused",
        ),
    ),
    Mutant(
        "identity-is-counted-by-name",
        "Nobody sees that a shop sends its customers' ids.",
        DOOR + "reading.py",
        "for name in said.keys() & IDENTITY:",
        "for name in set(said) & IDENTITY & {''}:",
        (
            COLLECT + "test_identity_is_not_read_and_its_names_are_counted",
            ADAPTERS + "test_segments_batch_is_one_visitor_in_order",
        ),
    ),
    Mutant(
        "texts-are-never-cut",
        "Half of a URL is another URL, and is counted as that.",
        DOOR + "reading.py",
        '            self.drop(Drop.TOO_LONG)\n            return ""',
        "            return said[:MOST_TEXT]",
        (COLLECT + "test_texts_beyond_any_use_are_as_if_they_were_not_said",),
    ),
    Mutant(
        "pages-of-others",
        "Where a visitor was elsewhere on the web is counted.",
        DOOR + "pages.py",
        'return url if f"{scheme}//{host}".lower() in site.origins else ""',
        "return url if scheme and host else ''",
        (COLLECT + "test_pages_of_others_are_not_counted",),
    ),
    Mutant(
        "events-are-counted-first",
        "One body of ten thousand events holds up everybody else.",
        DOOR + "collect.py",
        "if _events_in(body) > MOST_EVENTS:",
        "if not isinstance(body, object):",
        (COLLECT + "test_what_is_no_message_is_answered_and_not_repeated",),
    ),
    Mutant(
        "the-longest-list-counts",
        "An empty list in front of twelve thousand events, and nobody counts them.",
        DOOR + "collect.py",
        "return max((len(each) for each in lists if type(each) is list and each), default=1)",
        "return next((len(each) for each in lists if type(each) is list), 1)",
        (
            COLLECT + "test_no_list_hides_another",
            COLLECT + "test_what_is_no_message_is_answered_and_not_repeated",
        ),
    ),
    Mutant(
        "others-have-their-turn",
        "While one body's pages are made anonymous no order is taken.",
        DOOR + "collect.py",
        "            if start:\n",
        "            if start < 0:\n",
        (
            COLLECT + "test_a_large_body_lets_others_have_their_turn",
            COLLECT + "test_between_the_steps_of_a_large_body_others_have_their_turn",
        ),
    ),
    Mutant(
        "the-shop-before-the-patterns",
        "Anybody at all has fifteen hundred patterns tried, with a new user agent each time.",
        DOOR + "collect.py",
        "site = await self._site(named, head) if named else None",
        "site = await self._site(named, head) if self._bots.is_bot(head.agent) is not None and named else None",
        (COLLECT + "test_who_may_not_send_is_turned_away_before_the_patterns_of_programs_are_asked",),
    ),
    Mutant(
        "only-trusted-proxies-are-believed",
        "A visitor writes addresses into a header and is a crowd.",
        DOOR + "head.py",
        "while hops and nearest is not None and any(nearest in network for network in trusted):",
        "while hops and nearest is not None:",
        (PARTS + "test_the_nearest_address_that_no_trusted_proxy_has_is_who_calls",),
    ),
    Mutant(
        "agents-are-kept-as-digests",
        "A list of visitors' browsers stands in the gateway's memory.",
        DOOR + "bots.py",
        "mark = blake2b(agent, key=self._key, digest_size=16).digest()",
        "mark = agent",
        (PARTS + "test_a_user_agent_is_known_again_without_being_kept",),
    ),
    Mutant(
        "sites-grow-stale",
        "A shop that was removed is counted for as long as the gateway runs.",
        "services/kernel/http/recent.py",
        "if age > STALE_SECONDS:",
        "if age == float('inf'):",
        (PARTS + "test_without_the_database_what_is_known_serves_until_it_is_stale",),
    ),
)
