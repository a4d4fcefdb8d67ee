-- name: standings
SELECT closing.storefront, closing."window", closing.stage, closing.until_offset
FROM unnest($2::text[], $3::text[]) AS asked (storefront, "window")
JOIN closing ON closing.storefront = asked.storefront AND closing."window" = asked."window" AND closing.lane = $1

-- name: open
INSERT INTO closing (lane, storefront, "window", day, ends_at)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT DO NOTHING

-- name: open_everywhere
INSERT INTO closing (lane, storefront, "window", day, ends_at)
SELECT lane, due.* FROM generate_series(0, $1::int - 1) AS lane,
    unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS due
ON CONFLICT DO NOTHING

-- name: know
INSERT INTO cell (lane, storefront, "window", id, kind, named, sealed)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[])
ON CONFLICT DO NOTHING

-- name: contribute
-- One contribution per visitor, cell and window: who is there already is not counted again.
INSERT INTO contribution (cell, tag, share)
SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])
ON CONFLICT DO NOTHING
RETURNING cell || tag

-- name: add_tally
INSERT INTO tally (lane, reason, cells) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (lane, reason) DO UPDATE SET cells = tally.cells + excluded.cells

-- name: tallies
SELECT reason, sum(cells)::bigint AS cells FROM tally GROUP BY reason

-- name: over
-- What is not cut off and past its end and grace, or asked for: by itself or with its day.
SELECT storefront, "window", min(ends_at) AS ends_at FROM closing
WHERE stage = 'open' AND (
    ends_at <= $1
    OR (storefront, "window") IN (SELECT early.storefront, early."window" FROM early)
    OR (storefront, day) IN (SELECT early.storefront, early."window" FROM early)
)
GROUP BY storefront, "window"
ORDER BY ends_at, storefront, "window"
LIMIT $2

-- name: cut_off
WITH due AS (SELECT * FROM unnest($3::text[], $4::text[]) AS due (storefront, "window"))
UPDATE closing SET stage = 'waiting', until_offset = $2
WHERE lane = $1 AND stage = 'open'
    AND ((storefront, "window") IN (SELECT * FROM due) OR (storefront, day) IN (SELECT * FROM due))

-- name: work
SELECT storefront, "window", stage, until_offset, after FROM closing
WHERE lane = $1 AND stage IN ('waiting', 'counting', 'sweeping')
ORDER BY until_offset, ends_at, storefront, "window" LIMIT $2

-- name: move
UPDATE closing SET stage = $4, after = $5 WHERE lane = $1 AND storefront = $2 AND "window" = $3

-- name: page
SELECT id, kind, named, sealed FROM cell
WHERE lane = $1 AND storefront = $2 AND "window" = $3 AND ($4::bytea IS NULL OR id > $4)
ORDER BY id LIMIT $5

-- name: counts
SELECT cell, count(*) AS visitors FROM contribution WHERE cell = ANY ($1::bytea[]) GROUP BY cell

-- name: shares
SELECT crowd.cell, one.tag, one.share FROM unnest($1::bytea[]) AS crowd (cell),
    LATERAL (SELECT tag, share FROM contribution WHERE cell = crowd.cell ORDER BY tag LIMIT $2) AS one

-- name: propose
-- One text under two keys has two ids, it may be in two lanes: the larger number of the two is kept.
INSERT INTO candidate (storefront, "window", kind, cell, count)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[])
ON CONFLICT (storefront, "window", kind, cell) DO UPDATE SET count = greatest(candidate.count, excluded.count)

-- name: candidates
SELECT kind, cell, count FROM candidate WHERE storefront = $1 AND "window" = $2 ORDER BY kind, cell LIMIT $3

-- name: publish
-- What was published stays as it is, and is not published again.
INSERT INTO statistic (storefront, "window", kind, cell, count)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[])
ON CONFLICT DO NOTHING
RETURNING kind, cell

-- name: forget_candidates
DELETE FROM candidate USING unnest($3::text[], $4::text[]) AS said (kind, cell)
WHERE candidate.storefront = $1 AND candidate."window" = $2 AND candidate.kind = said.kind AND candidate.cell = said.cell

-- name: drop_mass
INSERT INTO dropped (storefront, day, lane, mass) VALUES ($1, $2, $3, $4)
ON CONFLICT (storefront, day, lane) DO UPDATE SET mass = dropped.mass + excluded.mass

-- name: sweep_tags
DELETE FROM contribution
WHERE ctid = ANY (ARRAY (SELECT ctid FROM contribution WHERE cell = ANY ($1::bytea[]) LIMIT $2))

-- name: sweep_cells
DELETE FROM cell WHERE lane = $1 AND storefront = $2 AND "window" = $3 AND id = ANY ($4::bytea[])

-- name: complete
-- Windows that every lane has closed and whose numbers are not published. What is closed stays so.
SELECT storefront, "window" FROM closing AS one
WHERE lane = 0 AND stage = 'closed' AND NOT told AND $1 = (
    SELECT count(*) FROM closing AS other
    WHERE other.storefront = one.storefront AND other."window" = one."window" AND other.stage = 'closed'
)
ORDER BY storefront, "window" LIMIT $2

-- name: tell
UPDATE closing SET told = true WHERE storefront = $1 AND "window" = $2 AND lane = 0

-- name: ended
-- Days that are published, and so is every other window of them.
SELECT storefront, day FROM unnest($1::text[], $2::text[]) AS asked (storefront, day)
JOIN closing AS one USING (storefront, day)
WHERE one.lane = 0 AND one."window" = day AND one.told AND NOT EXISTS (
    SELECT FROM closing AS other
    WHERE other.storefront = one.storefront AND other."window" BETWEEN one.day AND one.day || 'T99'
        AND (other.stage <> 'closed' OR (other.lane = 0 AND NOT other.told))
)

-- name: masses
SELECT storefront, day, coalesce(sum(mass), 0)::bigint AS mass
FROM unnest($1::text[], $2::text[]) AS asked (storefront, day) LEFT JOIN dropped USING (storefront, day)
GROUP BY storefront, day

-- name: publish_masses
INSERT INTO mass (storefront, day, mass) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT DO NOTHING
RETURNING storefront, day

-- name: forget_dropped
DELETE FROM dropped USING unnest($1::text[], $2::text[]) AS summed (storefront, day)
WHERE dropped.storefront = summed.storefront AND dropped.day = summed.day

-- name: forget_windows
-- A day goes with all its windows or not at all: what is not told yet needs every row of them (complete, ended).
DELETE FROM closing AS old WHERE stage = 'closed' AND ends_at < $1 AND NOT EXISTS (
    SELECT FROM closing AS other
    WHERE other.storefront = old.storefront AND other."window" BETWEEN old.day AND old.day || 'T99'
        AND (other.stage <> 'closed' OR (other.lane = 0 AND NOT other.told) OR other.ends_at >= $1)
)

-- name: forget_asked
DELETE FROM early WHERE asked_at < $1

-- name: expire_numbers
-- $1 is the hour of a moment, $2 its day: what is before the hour in the alphabet has ended, but for the day itself.
DELETE FROM statistic WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM statistic WHERE "window" < $1 AND "window" <> $2 LIMIT $3
))

-- name: expire_masses
DELETE FROM mass WHERE day < $1
