"""Guards of what shops and merchandisers read."""

from tests.faults.mutants.mutant import Mutant

DOMAIN = "tests/unit/test_insights_domain.py::"
NUMBERS = "tests/unit/test_insights_numbers.py::"
PAGE = "tests/unit/test_insights_page.py::"

READERS = (
    Mutant(
        "a-count-is-said-once",
        "A cell has two published numbers, and their difference may be one visitor.",
        "services/insights/domain.py",
        "    if isinstance(new, Ranking) and end >= end_of(window_of(row)):",
        "    if not isinstance(new, Ranking) or end >= end_of(window_of(row)):",
        (
            DOMAIN + "test_a_count_is_kept_as_it_was_said_first",
            DOMAIN + "test_dropped_mass_is_kept_as_it_was_said_first",
        ),
    ),
    Mutant(
        "a-list-never-knows-less",
        "After a restore the shop recommends by last month's list until a new one comes.",
        "services/insights/domain.py",
        "isinstance(new, Ranking) and end >= end_of(window_of(row))",
        "isinstance(new, Ranking)",
        (DOMAIN + "test_a_list_gives_way_to_one_that_knows_as_much_or_more",),
    ),
    Mutant(
        "aged-out-stays-out",
        "What was removed after 30 days comes back when the topic is read again.",
        "services/insights/domain.py",
        "    if end + KEEP < given.at:\n        return Decision(row)\n",
        "",
        (DOMAIN + "test_what_is_older_than_thirty_days_is_not_taken_in",),
    ),
    Mutant(
        "refused-personalisation",
        "Somebody sends Global Privacy Control and is recommended what they looked at all the same.",
        "services/insights/http.py",
        "elif objects(name, value):",
        'elif objects(b"", value):',
        (NUMBERS + "test_who_refused_gets_the_shop_wide_list_in_the_same_shape",),
    ),
    Mutant(
        "no-parameter-overlooked",
        "A shop misspells `personal=no`, and nobody ever notices.",
        "services/insights/asking.py",
        "if not said.keys() <= set(names):",
        "if False:",
        (NUMBERS + "test_what_cannot_be_answered_is_refused_by_a_code_alone",),
    ),
    Mutant(
        "answers-per-shop",
        "A shop reads what another shop asked for a moment ago.",
        "services/insights/http.py",
        'asked = (storefront, question(scope["path"], scope["query_string"], personal))',
        'asked = (getattr(self, "_first", storefront), question(scope["path"], scope["query_string"], personal))\n'
        "            self._first = asked[0]",
        (NUMBERS + "test_one_shop_reads_nothing_of_another",),
    ),
    Mutant(
        "forms-from-here",
        "A foreign page signs a merchandiser in to another shop's numbers, or out of their own.",
        "services/insights/signing.py",
        'if site not in (("", "same-origin") if origin else ("same-origin",)):',
        "if False:",
        (PAGE + "test_a_form_from_elsewhere_is_refused",),
    ),
    Mutant(
        "forms-from-this-origin",
        "In a browser that names only the origin, a foreign page may send the form.",
        "services/insights/signing.py",
        'if origin and origin.partition("://")[2] != _header(headers, b"host"):',
        "if False:",
        (PAGE + "test_a_form_from_elsewhere_is_refused",),
    ),
    Mutant(
        "signed-out-is-out",
        "Signing out leaves the session open for whoever has copied the cookie.",
        "services/insights/signing.py",
        "            await self._desk.sign_out(digest_of(session.encode()))\n",
        "",
        (PAGE + "test_signing_out_ends_the_session_and_not_only_the_cookie",),
    ),
    Mutant(
        "attempts-limited",
        "One address may have tokens looked up as fast as it can send them.",
        "services/insights/signing.py",
        "if count >= self._per_minute:",
        "if False:",
        (PAGE + "test_attempts_are_limited_per_address_and_minute",),
    ),
    Mutant(
        "terms-are-text",
        "What a stranger typed into a shop's search runs in the merchandiser's browser.",
        "services/insights/pages.py",
        "autoescape=True",
        "autoescape=False",
        (PAGE + "test_a_term_is_text_whatever_it_says",),
    ),
    Mutant(
        "no-script-runs",
        "Should a term ever become markup, nothing else stands in its way.",
        "services/insights/pages.py",
        "\"default-src 'none'; style-src 'self'; img-src data:;",
        "\"default-src 'self'; style-src 'self'; img-src data:;",
        (PAGE + "test_no_script_may_run_and_nothing_comes_from_elsewhere",),
    ),
)
