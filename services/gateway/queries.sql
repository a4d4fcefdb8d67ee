-- name: storefronts
SELECT id, token_sha256 FROM storefront WHERE revoked_at IS NULL

-- name: receive
INSERT INTO request (id, storefront, commitment) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: requests
SELECT id, storefront, commitment, state, progress, certificate, seen FROM request WHERE id = ANY ($1::text[])

-- name: progress
UPDATE request SET state = new.state, progress = new.progress, certificate = new.certificate, seen = new.seen
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
     AS new (id, state, progress, certificate, seen)
WHERE request.id = new.id
