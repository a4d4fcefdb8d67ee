-- name: storefronts
SELECT id, token_sha256 FROM storefront WHERE revoked_at IS NULL

-- name: sites
SELECT storefront, version, CASE WHEN version = ANY ($1::bigint[]) THEN NULL ELSE document END AS document FROM site

-- name: receive
INSERT INTO request (id, storefront, commitment) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: requests
SELECT id, storefront, commitment, state, progress, certificate, seen FROM request WHERE id = ANY ($1::text[])

-- name: progress
INSERT INTO request (id, storefront, commitment, state, progress, certificate, seen)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
ON CONFLICT (id) DO UPDATE
SET state = excluded.state, progress = excluded.progress, certificate = excluded.certificate, seen = excluded.seen
