-- name: load
SELECT subject, body FROM erasure WHERE subject = ANY ($1::text[])

-- name: save
INSERT INTO erasure (subject, request, state, round, missing, missing_since, body)
SELECT subject, request, state, round, string_to_array(missing, ','), missing_since, body::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::timestamptz[], $7::text[])
    AS new (subject, request, state, round, missing, missing_since, body)
ON CONFLICT (subject) DO UPDATE
SET state = excluded.state, round = excluded.round, missing = excluded.missing,
    missing_since = excluded.missing_since, body = excluded.body

-- name: incomplete
SELECT owner, count(*) AS requests
FROM erasure, unnest(missing) AS owner
WHERE state = 'incomplete'
GROUP BY owner
