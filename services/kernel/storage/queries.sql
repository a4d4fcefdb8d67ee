-- name: create_lane
INSERT INTO lane (lane) VALUES ($1) ON CONFLICT DO NOTHING

-- name: lock_lane
SELECT last_number, seed, clock_timestamp() AS at FROM lane WHERE lane = $1 FOR UPDATE

-- name: lane_positions
SELECT topic, partition, next_offset FROM progress WHERE lane = $1

-- name: begin_positions
INSERT INTO progress (topic, partition, lane, next_offset)
SELECT topic, partition, $1, next_offset FROM unnest($2::text[], $3::int[], $4::bigint[]) AS p (topic, partition, next_offset)
ON CONFLICT DO NOTHING

-- name: advance
UPDATE progress SET next_offset = p.next_offset
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS p (topic, partition, next_offset)
WHERE progress.topic = p.topic AND progress.partition = p.partition

-- name: streams
SELECT topic, topic_id FROM stream

-- name: know_streams
WITH told AS (SELECT * FROM unnest($1::text[], $2::text[]) AS t (topic, topic_id)),
forgotten AS (
    DELETE FROM progress USING told JOIN stream USING (topic)
    WHERE told.topic IN (progress.topic, progress.lane) AND stream.topic_id <> told.topic_id
)
INSERT INTO stream (topic, topic_id) SELECT * FROM told
ON CONFLICT (topic) DO UPDATE SET topic_id = excluded.topic_id

-- name: suppressed
SELECT subject, but FROM suppression WHERE subject = ANY ($1::text[])

-- name: suppress
WITH before AS (SELECT 1 FROM suppression WHERE subject = $1)
INSERT INTO suppression (subject, request, round, but) VALUES ($1, $2, $3, $4)
ON CONFLICT (subject) DO UPDATE SET request = excluded.request, round = excluded.round, but = excluded.but
-- An earlier round said again, after a restore, must not except again what has ended since.
WHERE suppression.request <> excluded.request OR suppression.round <= excluded.round
RETURNING EXISTS (SELECT FROM before)

-- name: blocked
SELECT DISTINCT state_key FROM dead_letter WHERE blocks AND state_key = ANY ($1::text[])

-- name: bury
INSERT INTO dead_letter
    (lane, topic, partition, record_offset, code, field_path, parked, blocks,
     subject, scope, state_key, event_type, headers, value, length)
SELECT $1, * FROM unnest
    ($2::text[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::boolean[], $8::boolean[],
     $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[], $15::int[])

-- name: exhume
-- A redriven letter that blocks its key brings what is parked behind it, so that order per key is kept.
WITH asked AS (
    SELECT id, state_key, blocks FROM dead_letter WHERE lane = $1 AND redrive ORDER BY id LIMIT $2
), taken AS (
    SELECT id FROM asked
    UNION
    SELECT behind.id FROM dead_letter AS behind JOIN asked USING (state_key)
    WHERE asked.blocks AND behind.lane = $1 AND (behind.parked OR behind.blocks)
)
DELETE FROM dead_letter WHERE id IN (SELECT id FROM taken)
RETURNING id, topic, partition, record_offset, code, field_path, parked, blocks, subject, scope, state_key, event_type,
    headers, value, length, recorded_at

-- name: append
INSERT INTO outbox (lane, number, topic, key, value, headers, subject, scope, sealed, partner)
SELECT $1, $2 + row.ordinal, row.topic, row.key, row.value, row.headers, row.subject, row.scope,
    string_to_array(row.sealed, ','), row.partner
FROM unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::text[], $8::text[], $9::text[], $10::text[])
    WITH ORDINALITY AS row (topic, key, value, headers, subject, scope, sealed, partner, ordinal)

-- name: raise_number
UPDATE lane SET last_number = $2 WHERE lane = $1

-- name: outbox_page
SELECT number, topic, key, value, headers, subject, scope, sealed, partner
FROM outbox WHERE lane = $1 ORDER BY number LIMIT $2

-- name: published
DELETE FROM outbox WHERE lane = $1 AND number <= $2

-- name: last_number
SELECT last_number FROM lane WHERE lane = $1

-- name: schedule
INSERT INTO timer (lane, state_key, event_type, subject, scope, body, due_at)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[])
ON CONFLICT (lane, state_key, event_type) DO UPDATE
SET subject = excluded.subject, scope = excluded.scope, body = excluded.body, due_at = excluded.due_at

-- name: due
WITH taken AS (
    SELECT lane, state_key, event_type FROM timer
    WHERE lane = $1 AND due_at <= now() ORDER BY due_at, state_key LIMIT $2
)
DELETE FROM timer USING taken
WHERE timer.lane = taken.lane AND timer.state_key = taken.state_key AND timer.event_type = taken.event_type
RETURNING timer.state_key, timer.event_type, timer.subject, timer.scope, timer.body, timer.due_at

-- name: waiting
SELECT DISTINCT lane FROM timer WHERE due_at <= now()
UNION
SELECT DISTINCT lane FROM dead_letter WHERE redrive
UNION
-- One probe of the index per lane: asked twice a second, and the table may hold a long backlog, or be full of dead rows.
SELECT lane FROM lane WHERE EXISTS (SELECT FROM outbox WHERE outbox.lane = lane.lane)

-- name: count
INSERT INTO ending (lane, topic, ending, count)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
ON CONFLICT (lane, topic, ending) DO UPDATE SET count = ending.count + excluded.count

-- name: endings
SELECT topic, ending, sum(count)::bigint AS count FROM ending GROUP BY topic, ending

-- name: outgoing_rows
SELECT count(*) FROM outbox

-- name: letter_rows
SELECT topic, count(*) FROM dead_letter GROUP BY topic

-- name: forget
-- Outgoing rows go where any category sealed inside is not excepted; letters and timers where the scope is not.
WITH rows AS (
    DELETE FROM outbox WHERE subject = $1 AND sealed <> '{}'
    AND EXISTS (SELECT FROM unnest(sealed) AS category WHERE scope || '/' || category <> ALL ($2::text[]))
    RETURNING 1
), letters AS (
    DELETE FROM dead_letter WHERE subject = $1 AND (scope IS NULL OR scope <> ALL ($3::text[])) RETURNING 1
), timers AS (
    DELETE FROM timer WHERE subject = $1 AND (scope IS NULL OR scope <> ALL ($3::text[])) RETURNING 1
)
SELECT (SELECT count(*) FROM rows) + (SELECT count(*) FROM letters) + (SELECT count(*) FROM timers)

-- name: remember
INSERT INTO remembered SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- name: remembers
SELECT EXISTS (SELECT FROM remembered WHERE subject = $1)
