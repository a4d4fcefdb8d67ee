"""Guards of what is counted of visitors, and of what may be told of it."""

from tests.faults.mutants.mutant import Mutant

DOMAIN = "tests/unit/test_clickstream_domain.py::"
ENDING = "tests/unit/test_clickstream_ending.py::"
STORY = "tests/integration/test_clickstream_store.py::"
CHOICES = "tests/attacks/test_choices.py::"
WORKER = "services/clickstream/"

COUNTED = (
    Mutant(
        "distinct-tag",
        "Who comes back, or is delivered twice, counts again: one visitor makes a crowd.",
        WORKER + "migrations/001_clickstream.sql",
        "    share bytea NOT NULL,\n    PRIMARY KEY (cell, tag)\n",
        "    share bytea NOT NULL\n",
        (STORY + "test_a_visitor_counts_once_per_cell_and_window[postgres]",),
    ),
    Mutant(
        "cell-in-its-lane",
        "A cell in two lanes is counted in each: one visitor is two.",
        WORKER + "domain.py",
        "    if lane_of_cell(storefront, cell.id) != lane:",
        "    if lane_of_cell(storefront, cell.id) < 0:",
        (DOMAIN + "test_a_cell_belongs_to_one_lane_only",),
    ),
    Mutant(
        "plausible-window",
        "A window of the year 9999 stays open for ever, with every tag it gets.",
        WORKER + "domain.py",
        "    if when is None or when[0] > at + SKEW:",
        "    if when is None:",
        (DOMAIN + "test_a_window_is_one_of_the_calendar_and_of_about_now",),
    ),
    Mutant(
        "window-without-end",
        "One record that names the last day of the calendar stops the worker, at every restart.",
        WORKER + "domain.py",
        "    except (ValueError, OverflowError):",
        "    except ValueError:",
        (DOMAIN + "test_a_window_is_one_of_the_calendar_and_of_about_now",),
        fails_by=("OverflowError",),
    ),
    Mutant(
        "forgotten-windows-are-late",
        "A window whose closing is forgotten opens again: its cells are published a second time.",
        WORKER + "domain.py",
        "    if when[1] < at - OLDEST:",
        "    if when[1] < at - 400 * OLDEST:",
        (DOMAIN + "test_a_window_is_one_of_the_calendar_and_of_about_now",),
    ),
)

CLOSED = (
    Mutant(
        "position-before-closing",
        "A window closes before the lane has read what was written for it: the numbers depend on lag.",
        WORKER + "domain.py",
        "    return position >= until",
        "    return position >= 0 <= until",
        (
            DOMAIN + "test_a_lane_has_reached_a_cut_when_it_would_read_the_record_at_it_next",
            STORY
            + "test_a_lane_closes_only_once_it_has_read_what_was_there_when_its_windows_were_over[memory]",
        ),
    ),
    Mutant(
        "closing-waits-for-the-cut",
        "Every window that is cut off closes at once, whatever its lane has still to read.",
        WORKER + "closing.py",
        "        ready = [each for each in work if reached(each.until, position)]",
        "        ready = list(work)",
        (
            STORY
            + "test_a_lane_closes_only_once_it_has_read_what_was_there_when_its_windows_were_over[memory]",
        ),
    ),
    Mutant(
        "ends-read-after-the-end",
        "What a gateway sent in time, while it was decided that the window is over, is dropped as late.",
        WORKER + "ending.py",
        "        over = await self._over()\n",
        "        ends = await self._broker.ends(LANES_OF_CLICKS)\n        over = await self._over()\n",
        (ENDING + "test_what_was_sent_while_it_was_decided_that_a_window_is_over_is_in_it",),
        also=(
            (
                "        ends = await self._broker.ends(LANES_OF_CLICKS)\n        for partition",
                "        for partition",
            ),
        ),
    ),
    Mutant(
        "cut-behind-what-is-counted",
        "A number holds what lies behind its window's cut: nobody can compute it from the log again.",
        WORKER + "ending.py",
        "                until = max(end, (await tx.positions()).get(partition, 0))",
        "                until = end",
        (ENDING + "test_what_is_counted_already_is_not_cut_off",),
    ),
    Mutant(
        "forgotten-when-told",
        "A worker that was away for long forgets a window lane by lane as it closes, and never tells its numbers.",
        WORKER + "queries.sql",
        "(other.stage <> 'closed' OR (other.lane = 0 AND NOT other.told) OR other.ends_at >= $1)",
        "other.lane < 0",
        (STORY + "test_no_window_is_forgotten_before_all_of_its_day_is_told[postgres]",),
    ),
    Mutant(
        "closed-window",
        "What comes for a closed window is counted, and nobody will ever close it again.",
        WORKER + "domain.py",
        "            self.stage is Stage.WAITING and self.until is not None and offset < self.until",
        "            self.until is not None",
        (
            DOMAIN + "test_a_span_takes_what_lies_before_its_cut",
            STORY + "test_a_closed_window_takes_nothing_and_is_never_published_again[memory]",
        ),
    ),
    Mutant(
        "cut-by-offset",
        "Until its lane closes, a window takes what was written after its end: a restart changes its numbers.",
        WORKER + "domain.py",
        "self.until is not None and offset < self.until",
        "self.until is not None and offset >= 0",
        (
            DOMAIN + "test_a_span_takes_what_lies_before_its_cut",
            STORY + "test_what_is_written_behind_the_cut_is_late_even_if_the_lane_has_not_closed[memory]",
        ),
    ),
    Mutant(
        "day-takes-its-hours",
        "An hour that comes after its day is closed is in no dropped mass, or in a second one.",
        WORKER + "counting.py",
        "for each in {span, span.day})",
        "for each in {span})",
        (STORY + "test_a_closed_day_takes_none_of_its_hours[memory]",),
        fails_by=("KeyError",),
    ),
    Mutant(
        "published-once",
        "A number that was told is told again as another one.",
        WORKER + "queries.sql",
        "ON CONFLICT DO NOTHING\nRETURNING kind, cell",
        'ON CONFLICT (storefront, "window", kind, cell) DO UPDATE SET count = excluded.count\nRETURNING kind, cell',
        (STORY + "test_a_published_number_stays_as_it_is[postgres]",),
    ),
    Mutant(
        "all-lanes-before-publishing",
        "Of a text that two keys have in two lanes the first number is told, not the larger one.",
        WORKER + "queries.sql",
        "WHERE lane = 0 AND stage = 'closed' AND NOT told AND $1 = (",
        "WHERE lane = 0 AND stage = 'closed' AND NOT told AND $1 >= (",
        (STORY + "test_what_is_told_of_a_day_waits_for_all_its_hours_and_lanes[postgres]",),
    ),
)

KEPT = (
    Mutant(
        "swept-before-closed",
        "Tags and sealed texts of a window with many stay after it is closed, and nobody ever deletes them.",
        WORKER + "closing.py",
        "        done = gone < self._tags_left and len(cells) < PIECE_CELLS",
        "        done = True",
        (STORY + "test_numbers_leave_in_pieces_and_each_once[memory]",),
    ),
    Mutant(
        "published-numbers-end",
        "What was published stays in the worker's tables for ever.",
        WORKER + "ending.py",
        "                await self._store.expire(tx, tx.at - KEPT, MOST_EXPIRED)\n",
        "                await self._store.expire(tx, tx.at - 100 * KEPT, MOST_EXPIRED)\n",
        (ENDING + "test_published_numbers_are_kept_as_long_as_their_topic_keeps_them",),
    ),
    Mutant(
        "old-numbers",
        "Published numbers of old windows stay, though what was dropped of their days goes.",
        WORKER + "queries.sql",
        'WHERE "window" < $1 AND "window" <> $2 LIMIT $3',
        'WHERE "window" < $1 AND "window" <> $2 LIMIT 0 * $3',
        (STORY + "test_what_was_published_is_deleted_by_its_window[postgres]",),
    ),
    Mutant(
        "day-not-over",
        "A day's numbers go up to a day too early, as soon as its first hour is old.",
        WORKER + "queries.sql",
        'WHERE "window" < $1 AND "window" <> $2 LIMIT $3',
        'WHERE "window" < $1 AND "window" <> $2 || $1 LIMIT $3',
        (STORY + "test_what_was_published_is_deleted_by_its_window[postgres]",),
    ),
    Mutant(
        "old-masses",
        "What was dropped of a day stays for ever.",
        WORKER + "queries.sql",
        "DELETE FROM mass WHERE day < $1",
        "DELETE FROM mass WHERE day < left($1, 0)",
        (STORY + "test_what_was_published_is_deleted_by_its_window[postgres]",),
    ),
)

TOLD = (
    Mutant(
        "one-level",
        "A product and its category are both told: the category less the product is what few looked at.",
        "services/gateway/clicks/cells.py",
        "        yield Kind.PRODUCT, product\n",
        "        yield Kind.PRODUCT, product\n        yield Kind.PRODUCT, site.categories.get(page.item, product)\n",
        (CHOICES + "test_a_product_is_counted_by_itself_or_with_its_category",),
    ),
    Mutant(
        "one-length",
        "An hour and its day are both told: the day less its hours is who came in the quiet ones.",
        "services/gateway/clicks/anonymiser.py",
        "waiting.windows[kind], text)",
        "window, text)",
        (CHOICES + "test_a_kind_is_counted_by_the_day_or_by_the_hour",),
        also=(
            (
                "            for kind, text in cells_of(page, site)\n",
                "            for kind, text in cells_of(page, site)\n"
                "            for window in {waiting.windows[kind], window_of(room.hour, hourly=False)}\n",
            ),
        ),
    ),
    Mutant(
        "opened-text-fits",
        "What a crowd sealed is published though no gateway of ours wrote it: a text of any length and form.",
        WORKER + "closing.py",
        "        return text if fits(cell.kind, text) else None",
        "        return text",
        (STORY + "test_a_crowd_that_does_not_tell_its_text_is_dropped[memory]",),
    ),
    Mutant(
        "crowd-threshold",
        "What fewer than a crowd did is published.",
        WORKER + "domain.py",
        "    return count // crowd * crowd",
        "    return max(count // crowd, 1) * crowd",
        (DOMAIN + "test_a_number_is_told_of_whole_crowds_only",),
    ),
    Mutant(
        "whole-crowds",
        "Exact numbers are published: the difference of two of them is one visitor.",
        WORKER + "domain.py",
        "    return count // crowd * crowd",
        "    return count if count >= crowd else 0",
        (
            DOMAIN + "test_a_number_is_told_of_whole_crowds_only",
            DOMAIN + "test_no_difference_of_told_numbers_is_about_fewer_than_a_crowd",
        ),
    ),
    Mutant(
        "largest-single-key",
        "After a loss of the tag key visitors who came back count twice, and make a crowd of too few.",
        WORKER + "domain.py",
        "        found[kind, text] = max(count, found.get((kind, text), 0))",
        "        found[kind, text] = count + found.get((kind, text), 0)",
        (DOMAIN + "test_of_two_keys_the_larger_number_counts_and_never_the_sum",),
    ),
    Mutant(
        "largest-of-two-lanes",
        "Of two keys whose cells lie in two lanes the visitors are added.",
        WORKER + "queries.sql",
        "DO UPDATE SET count = greatest(candidate.count, excluded.count)",
        "DO UPDATE SET count = candidate.count + excluded.count",
        (STORY + "test_what_a_second_key_counts_is_not_added_to_the_first[postgres]",),
    ),
    Mutant(
        "coarse-mass",
        "Whoever knows all that was dropped but one cell reads that cell's number off the sum.",
        WORKER + "domain.py",
        "    return mass // place * place",
        "    return mass // crowd * crowd",
        (DOMAIN + "test_a_dropped_mass_is_told_by_its_first_digit_only",),
    ),
    Mutant(
        "crowd-of-the-settings",
        "A slip in the settings publishes what two visitors did.",
        WORKER + "settings.py",
        "ge=LEAST_CROWD, le=10_000",
        "ge=1, le=10_000",
        (DOMAIN + "test_no_setting_makes_a_crowd_smaller_than_the_floor",),
    ),
)
