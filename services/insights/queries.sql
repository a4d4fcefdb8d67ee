-- name: counts_of
SELECT storefront, kind, during, cell, at_least
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS asked (storefront, kind, during, cell)
JOIN counted USING (storefront, kind, during, cell)

-- name: dropped_of
SELECT storefront, day, at_least
FROM unnest($1::text[], $2::text[]) AS asked (storefront, day) JOIN dropped USING (storefront, day)

-- name: rankings_of
SELECT storefront, listing, of, through, items
FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (storefront, listing, of)
JOIN ranked USING (storefront, listing, of)

-- name: hear
INSERT INTO heard (storefront, kind, during, ends_at)
SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING

-- name: save_counts
-- What was said first stays; rows are sorted, so that two lanes cannot wait for each other.
INSERT INTO counted (storefront, kind, during, cell, at_least)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) ORDER BY 1, 2, 3, 4
ON CONFLICT DO NOTHING

-- name: save_dropped
INSERT INTO dropped (storefront, day, at_least, ends_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING

-- name: save_rankings
INSERT INTO ranked (storefront, listing, of, through, items, ends_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[]) ORDER BY 1, 2, 3
ON CONFLICT (storefront, listing, of) DO UPDATE
SET through = excluded.through, items = excluded.items, ends_at = excluded.ends_at
WHERE excluded.ends_at >= ranked.ends_at

-- name: ranking
SELECT storefront, listing, of, through, items FROM ranked WHERE storefront = $1 AND listing = $2 AND of = $3

-- name: windows
SELECT kind, during FROM heard WHERE storefront = $1 ORDER BY ends_at DESC, during DESC, kind

-- name: most
SELECT storefront, kind, during, cell, at_least FROM counted
WHERE storefront = $1 AND kind = $2 AND during = $3
ORDER BY at_least DESC, cell COLLATE "C" LIMIT $4 OFFSET $5

-- name: days_dropped
SELECT storefront, day, at_least FROM dropped WHERE storefront = $1 ORDER BY day DESC

-- name: tokens
SELECT id, token_sha256 FROM reader WHERE revoked_at IS NULL

-- name: sessions
SELECT id, session_sha256 FROM session JOIN reader USING (token_sha256) WHERE revoked_at IS NULL AND ends_at > now()

-- name: sign_in
-- Of one token no more than so many sessions live; the oldest gives way.
WITH crowded AS (
    DELETE FROM session WHERE session_sha256 IN (
        SELECT session_sha256 FROM session WHERE token_sha256 = $2 ORDER BY ends_at DESC OFFSET $4::integer - 1
    )
)
INSERT INTO session (session_sha256, token_sha256, ends_at)
SELECT $1, token_sha256, now() + $3::interval FROM reader WHERE token_sha256 = $2 AND revoked_at IS NULL
RETURNING session_sha256

-- name: sign_out
DELETE FROM session WHERE session_sha256 = $1

-- name: tidy
WITH gone AS (
    DELETE FROM heard WHERE ends_at < now() - $1::interval RETURNING storefront, kind, during
), counts AS (
    DELETE FROM counted USING gone
    WHERE (counted.storefront, counted.kind, counted.during) = (gone.storefront, gone.kind, gone.during)
    RETURNING 1
), days AS (
    DELETE FROM dropped WHERE ends_at < now() - $1::interval RETURNING 1
), lists AS (
    DELETE FROM ranked WHERE ends_at < now() - $1::interval RETURNING 1
), sessions AS (
    DELETE FROM session WHERE ends_at < now()
)
SELECT (SELECT count(*) FROM counts) + (SELECT count(*) FROM days) + (SELECT count(*) FROM lists) AS removed
