-- name: know_subjects
-- Sorted, like every statement that locks several rows: two batches never wait for each other crosswise.
INSERT INTO subject (id, storefront)
SELECT id, $2 FROM unnest($1::text[]) AS wanted (id) ORDER BY id COLLATE "C"
ON CONFLICT DO NOTHING

-- name: share_subjects
-- FOR SHARE: until this mint has committed, no destruction, release or finish of these people can begin.
SELECT id, storefront, state, request, round FROM subject WHERE id = ANY ($1::text[]) ORDER BY id FOR SHARE

-- name: lock_subjects
-- FOR UPDATE: waits for mints under way and holds back new ones; what is read afterwards is complete.
SELECT id, storefront, state, request, round FROM subject WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: adopt_subjects
WITH orphans AS (
    SELECT id FROM subject WHERE id = ANY ($1::text[]) AND storefront IS NULL ORDER BY id FOR UPDATE
)
UPDATE subject SET storefront = $2 FROM orphans WHERE subject.id = orphans.id AND state = 'active'

-- name: save_subjects
UPDATE subject SET state = s.state, request = s.request, round = s.round, changed_at = clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS s (id, state, request, round)
WHERE subject.id = s.id

-- name: subject
SELECT id, storefront, state, request, round FROM subject WHERE id = $1

-- name: pairs_of_subjects
SELECT subject, scope, category, ground, held_until, revision FROM pair WHERE subject = ANY ($1::text[])

-- name: pairs_of_scopes
SELECT pair.subject, pair.scope, pair.category, ground, held_until, revision
FROM pair JOIN unnest($1::text[], $2::text[]) AS s (subject, scope) USING (subject, scope)

-- name: live_keys
SELECT subject, scope, category, count(*) AS live FROM data_key
WHERE subject = ANY ($1::text[]) AND wrapped IS NOT NULL GROUP BY subject, scope, category

-- name: bear_pairs
-- A pair is born provisional; a further event of a scope that nobody has handled yet waits as long as the first.
INSERT INTO pair (subject, scope, category, ground, held_until)
SELECT subject, scope, category, 'provisional', $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS p (subject, scope, category)
ORDER BY subject COLLATE "C", scope COLLATE "C", category COLLATE "C"
ON CONFLICT (subject, scope, category) DO UPDATE SET held_until = excluded.held_until
WHERE pair.ground = 'provisional' AND pair.held_until < excluded.held_until

-- name: save_pairs
INSERT INTO pair (subject, scope, category, ground, held_until, revision)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[])
ON CONFLICT (subject, scope, category) DO UPDATE
SET ground = excluded.ground, held_until = excluded.held_until, revision = excluded.revision

-- name: forget_pairs
DELETE FROM pair WHERE subject = ANY ($1::text[])

-- name: share_primary_keks
-- FOR SHARE: a version cannot be retired while a mint that wraps with it is under way.
SELECT category, version FROM kek WHERE state = 'primary' AND category = ANY ($1::text[]) ORDER BY category FOR SHARE

-- name: store_keys
INSERT INTO data_key (kid, subject, category, scope, kek_version, wrapped)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::bytea[])

-- name: open_keys
-- FOR SHARE: a destruction waits until the keys read here are on their way, and says so late enough to be true.
SELECT kid, subject, category, scope, kek_version, wrapped FROM data_key
WHERE kid = ANY ($1::text[]) ORDER BY kid FOR SHARE

-- name: count_openings
INSERT INTO opening (hour, principal, category, purpose, count)
SELECT date_trunc('hour', now()), $1, category, $2, count
FROM unnest($3::text[], $4::bigint[]) AS o (category, count) ORDER BY category
ON CONFLICT (hour, principal, category, purpose) DO UPDATE SET count = opening.count + excluded.count

-- name: openings
SELECT principal, category, purpose, sum(count)::bigint AS count FROM opening
GROUP BY principal, category, purpose ORDER BY principal, category, purpose

-- name: lock_keys
SELECT k.kid FROM data_key AS k
JOIN unnest($1::text[], $2::text[], $3::text[]) AS p (subject, scope, category) USING (subject, scope, category)
WHERE k.wrapped IS NOT NULL ORDER BY k.kid FOR UPDATE OF k

-- name: destroy_keys
UPDATE data_key SET wrapped = NULL, destroyed_at = clock_timestamp()
WHERE kid = ANY ($1::text[]) AND wrapped IS NOT NULL
RETURNING category

-- name: dead_keys
SELECT subject, kid, category, destroyed_at FROM data_key WHERE subject = ANY ($1::text[]) AND wrapped IS NULL

-- name: due_people
-- Only people who are not being erased: the ends of those are told to others, in the order of their lane.
SELECT DISTINCT pair.subject FROM pair JOIN subject ON subject.id = pair.subject
WHERE pair.held_until <= now() AND pair.ground <> 'open-order' AND subject.state = 'active' LIMIT $1

-- name: lock_active_subjects
SELECT id FROM subject WHERE id = ANY ($1::text[]) AND state = 'active' ORDER BY id FOR UPDATE SKIP LOCKED

-- name: end_due_pairs
DELETE FROM pair WHERE subject = ANY ($1::text[]) AND held_until <= now() AND ground <> 'open-order'
RETURNING subject, scope, category, ground

-- name: overdue
-- An order that is open longer than its worker expected: an alarm, never a loss.
SELECT count(*) FROM pair WHERE ground = 'open-order' AND held_until <= now()

-- name: lock_keks
SELECT category, version, state FROM kek WHERE category = $1 ORDER BY version FOR UPDATE

-- name: retire_kek
UPDATE kek SET state = 'retiring', retired_at = clock_timestamp() WHERE category = $1 AND state = 'primary'

-- name: install_kek
INSERT INTO kek (category, version, state, thumbprint) VALUES ($1, $2, 'primary', $3)

-- name: keks
SELECT category, version, state, thumbprint, created_at, retired_at, destroyed_at,
    (SELECT count(*) FROM data_key AS k
     WHERE k.category = kek.category AND k.kek_version = kek.version AND k.wrapped IS NOT NULL) AS live_keys
FROM kek ORDER BY category, version

-- name: living_keks
SELECT category, version, thumbprint, state, created_at FROM kek WHERE state <> 'destroyed' ORDER BY category, version

-- name: stale_keys
SELECT kid, subject, category, scope, kek_version, wrapped FROM data_key
WHERE category = $1 AND kek_version = $2 AND wrapped IS NOT NULL AND kid > $3 ORDER BY kid LIMIT $4

-- name: rewrap_keys
-- Compare-and-set on the ciphertext that was read: a key destroyed meanwhile stays destroyed.
WITH fresh AS (
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS f (kid, before, after)
), mine AS (
    SELECT k.kid, fresh.before, fresh.after FROM data_key AS k JOIN fresh USING (kid)
    ORDER BY k.kid FOR UPDATE OF k SKIP LOCKED
)
UPDATE data_key SET wrapped = mine.after, kek_version = $4
FROM mine WHERE data_key.kid = mine.kid AND data_key.wrapped = mine.before

-- name: condemn_kek
-- The last look: no wrapped key may point at the version that goes.
UPDATE kek SET state = 'destroying' WHERE category = $1 AND version = $2 AND state = 'retiring'
AND NOT EXISTS (SELECT FROM data_key AS k
                WHERE k.category = $1 AND k.kek_version = $2 AND k.wrapped IS NOT NULL)
RETURNING version

-- name: bury_kek
UPDATE kek SET state = 'destroyed', destroyed_at = clock_timestamp()
WHERE category = $1 AND version = $2 AND state = 'destroying' RETURNING destroyed_at

-- name: destroyed_keks
SELECT version FROM kek WHERE category = $1 AND version = ANY ($2::int[]) AND state = 'destroyed'

-- name: tired_categories
SELECT category FROM kek WHERE state = 'primary' AND created_at < now() - $1::interval

-- name: unfinished_categories
SELECT DISTINCT category FROM kek WHERE state IN ('retiring', 'destroying')

-- name: pending_keks
SELECT category, count(*) FILTER (WHERE state IN ('retiring', 'destroying')) AS pending FROM kek GROUP BY category

-- name: live_keys_by_category
SELECT category, count(*) AS live FROM data_key WHERE wrapped IS NOT NULL GROUP BY category

-- name: every_living_key
SELECT kid, subject, category, scope, kek_version, wrapped FROM data_key WHERE wrapped IS NOT NULL ORDER BY kid

-- name: destroyed_kids
SELECT kid FROM data_key WHERE kid = ANY ($1::text[]) AND wrapped IS NULL

-- name: remove_keys_of
DELETE FROM data_key WHERE subject = $1

-- name: lock_tag_key
-- Whoever asks waits for whoever makes or destroys: nobody is handed a key that another one has just replaced.
LOCK TABLE tag_key IN ACCESS EXCLUSIVE MODE

-- name: living_tag_key
SELECT number, material, extract(epoch FROM dies_at - clock_timestamp())::float8 AS dies_in_seconds
FROM tag_key WHERE dies_at > clock_timestamp()

-- name: dead_tag_key
SELECT EXISTS (SELECT FROM tag_key WHERE dies_at <= clock_timestamp())

-- name: make_tag_key
-- Made here, of 244 random bits of the system's, so that no statement, parameter or log of statements holds it. The
-- lower half of the number is chance: a restored sequence repeats itself, and two keys under one number would make
-- two visitors of one.
INSERT INTO tag_key (number, material, dies_at)
SELECT
    nextval('tag_key_number') * 4294967296 + floor(random() * 4294967296)::bigint,
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    (date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'
RETURNING number, material, extract(epoch FROM dies_at - clock_timestamp())::float8 AS dies_in_seconds

-- name: destroy_tag_key
-- Not DELETE, which leaves the bytes in the file: a new file, and the old one has no length at the commit.
TRUNCATE tag_key
