"""Guards between a browser and the topic `clicks`: routes, terms, tags, the crowd, and the tag key's one day."""

from tests.faults.mutants.mutant import Mutant

ROUTES = "tests/unit/test_clicks_routes.py::"
TERMS = "tests/unit/test_clicks_terms.py::"
TAGS = "tests/unit/test_clicks_tags.py::"
CROWD = "tests/unit/test_clicks_crowd.py::"
WAY = "tests/unit/test_clicks_anonymiser.py::"
KEY = "tests/contract/test_tag_key.py::"
CLICKS = "services/gateway/clicks/"

NAMED = (
    Mutant(
        "named-products-only",
        "Whatever a page calls its product is kept, a name engraved on a ring for one.",
        CLICKS + "site.py",
        "return item if item in self.categories else OTHER",
        "return item",
        (ROUTES + "test_a_product_goes_by_one_name",),
    ),
    Mutant(
        "named-values-only",
        "The e-mail address in `?sort=` becomes part of a route.",
        CLICKS + "routes.py",
        "given[name] if given[name] in values else OTHER",
        "given[name]",
        (ROUTES + "test_a_url_becomes_its_template",),
    ),
    Mutant(
        "whole-term",
        "A term with an e-mail address in it goes its way.",
        CLICKS + "terms.py",
        "return found.placeholder if found else clean",
        "return clean",
        (
            TERMS + "test_what_is_personal_takes_the_whole_term_with_it",
            TERMS + "test_no_long_number_stays_however_it_is_written",
        ),
    ),
    Mutant(
        "nothing-escaped",
        "A full-width per cent sign hides an e-mail address from every pattern.",
        CLICKS + "terms.py",
        "        if not _ESCAPED.search(text):\n",
        "        if text:\n",
        (
            TERMS + "test_what_is_personal_takes_the_whole_term_with_it",
            TERMS + "test_nothing_hides_behind_an_escape_or_another_folding",
        ),
    ),
    Mutant(
        "placeholders-do-not-trend",
        "Shops are offered `(phone)` as a search that many people do.",
        "services/recommendations/domain.py",
        "if term not in PLACEHOLDERS and now in windows",
        "if now in windows",
        ("tests/unit/test_recommendations_domain.py::test_a_placeholder_of_the_scrubber_is_no_trend",),
    ),
    Mutant(
        "nothing-invisible",
        "A zero-width character hides a number from every pattern.",
        CLICKS + "terms.py",
        'if category in ("Cf", "Cs", "Co", "Cn"):\n        return ""',
        'if category in ("Cs", "Co", "Cn"):\n        return ""',
        (TERMS + "test_what_is_personal_takes_the_whole_term_with_it",),
    ),
)
HIDDEN = (
    Mutant(
        "household-of-addresses",
        "One phone with changing addresses is a crowd by itself.",
        CLICKS + "tags.py",
        "int(address) >> 128 - bits << 128 - bits",
        "int(address)",
        (TAGS + "test_an_address_is_what_a_household_has",),
    ),
    Mutant(
        "tag-of-one-window",
        "A visitor has the same tag in every hour, and can be followed from one to the next.",
        CLICKS + "tags.py",
        "return joined(kind, window, cell)",
        "return joined(kind, cell)",
        (TAGS + "test_anything_else_makes_another_tag",),
    ),
    Mutant(
        "crowd-before-leaving",
        "What one visitor less than a crowd did goes to Kafka.",
        CLICKS + "crowd.py",
        "return len(self._networks) >= self._least",
        "return len(self._networks) >= self._least - 1",
        (
            CROWD + "test_one_visitor_less_than_a_crowd_stays",
            WAY + "test_less_than_a_crowd_never_leaves",
        ),
    ),
    Mutant(
        "shuffled-crowd",
        "Records say in which order visitors came, and which cells are one's.",
        CLICKS + "crowd.py",
        "        chance.shuffle(everything)\n",
        "",
        (CROWD + "test_the_order_is_chances",),
    ),
    Mutant(
        "numbers-of-chance",
        "A crowd leaves in the order in which its visitors came: neighbours in time are neighbours on the topic.",
        CLICKS + "crowd.py",
        "token_bytes(8 * len(items))",
        "bytes(8 * len(items))",
        (CROWD + "test_every_order_is_as_likely_as_any_other",),
    ),
    Mutant(
        "turns-between-rooms",
        "When the hour ends, every shop's crowd leaves before anybody else is served.",
        CLICKS + "anonymiser.py",
        "                continue\n            await asyncio.sleep(0)\n",
        "                continue\n",
        (WAY + "test_others_have_their_turn_between_two_rooms",),
    ),
    Mutant(
        "ended-meanwhile",
        "A room that a page has ended is ended again: everything that waits after it stays for another second.",
        CLICKS + "anonymiser.py",
        "            if self._rooms.get(room) is not waiting:",
        "            if self._rooms.get(room) is None and False:",
        (WAY + "test_others_have_their_turn_between_two_rooms",),
        fails_by=("KeyError",),
    ),
    Mutant(
        "room-of-one-key",
        "After a loss of the tag key three visitors look like six, and leave as a crowd.",
        CLICKS + "anonymiser.py",
        "room = Room(site.storefront, key.number, to_the_hour(self._clock.now()))",
        "room = Room(site.storefront, 1, to_the_hour(self._clock.now()))",
        (WAY + "test_a_key_that_was_lost_shares_no_room_with_the_next",),
    ),
    Mutant(
        "hour-as-timestamp",
        "The record's timestamp says when the crowd left, to the millisecond.",
        CLICKS + "departures.py",
        "int(room.hour.timestamp()) * 1_000",
        "None",
        (WAY + "test_records_say_the_hour_and_nothing_exact",),
    ),
    Mutant(
        "no-key-no-click",
        "A page that nobody could tag is taken for one that was counted.",
        CLICKS + "anonymiser.py",
        "            raise Refusal(Code.TAG_KEY_MISSING) from None",
        "            return",
        (WAY + "test_no_key_no_click",),
    ),
)
ONE_DAY = (
    Mutant(
        "dead-key-tags-nothing",
        "A gateway that lost touch with the keyring tags under yesterday's key.",
        "services/kernel/sealing/tagging.py",
        "if not self.dies_in_seconds:",
        "if not self._material:",
        (TAGS + "test_a_dead_key_makes_nothing",),
    ),
    Mutant(
        "dead-by-the-time-of-day",
        "A machine that slept over midnight wakes with yesterday's key.",
        "services/kernel/sealing/tagging.py",
        "return max(0.0, min(left, (self._dies_on - self._clock.now()).total_seconds()))",
        "return max(0.0, left)",
        (TAGS + "test_a_machine_that_slept_over_midnight_has_no_key",),
    ),
    Mutant(
        "tag-key-for-the-gateway",
        "Whoever may ask the keyring for anything can recognise visitors.",
        "services/keyring/api.py",
        "if not rights.may_tag(self._principal(request)):",
        "if not self._principal(request):",
        (KEY + "test_nobody_but_the_gateway_has_it[service-orders]",),
    ),
    Mutant(
        "unlogged-tag-key",
        "The tag key is in the log of changes, on every standby and in every base backup.",
        "services/keyring/migrations/003_tag_key.sql",
        "CREATE UNLOGGED TABLE",
        "CREATE TABLE",
        (KEY + "test_it_is_written_to_no_log_of_changes",),
    ),
    Mutant(
        "truncated-tag-key",
        "The bytes of a dead key stay in its file until something overwrites them.",
        "services/keyring/queries.sql",
        "TRUNCATE tag_key",
        "DELETE FROM tag_key",
        (KEY + "test_a_living_key_is_not_destroyed_and_a_dead_one_is",),
    ),
    Mutant(
        "number-of-chance",
        "A restored sequence gives a second key the number of a first, and one visitor counts as two.",
        "services/keyring/queries.sql",
        "nextval('tag_key_number') * 4294967296 + floor(random() * 4294967296)::bigint",
        "nextval('tag_key_number')",
        (KEY + "test_a_restored_sequence_repeats_no_number",),
    ),
    Mutant(
        "late-destroyer",
        "A keyring that comes late destroys the key that another one has just made.",
        "services/keyring/tag_key.py",
        "                if not await connection.fetchval(SQL.dead_tag_key):\n                    return False\n",
        "",
        (KEY + "test_who_comes_late_to_destroy_it_spares_the_next_one",),
    ),
)
