-- name: registry
SELECT partner_id, public_key, sha256, scope, fields, valid_from, valid_to, ended_at
FROM partner LEFT JOIN agreement USING (partner_id)
ORDER BY partner_id, sha256

-- name: load
SELECT * FROM shipment WHERE order_id = ANY ($1::text[])

-- name: of_subject
SELECT * FROM shipment WHERE subject = $1 ORDER BY order_id

-- name: spend
-- Cuts the link from a reference to a person before the row forgets it.
INSERT INTO spent_reference (reference, partner)
SELECT shipment.reference, shipment.partner
FROM shipment JOIN unnest($1::text[], $2::text[]) AS news (order_id, reference) USING (order_id)
WHERE shipment.reference IS NOT NULL AND news.reference IS NULL
ON CONFLICT DO NOTHING

-- name: save
INSERT INTO shipment (order_id, subject, partner, stage, service, code, ship_to, reference, reason, log_clear_at,
    due_at, request)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::timestamptz[], $11::timestamptz[], $12::text[])
ON CONFLICT (order_id) DO UPDATE SET
    stage = excluded.stage, service = excluded.service, code = excluded.code, ship_to = excluded.ship_to,
    reference = excluded.reference, reason = excluded.reason, log_clear_at = excluded.log_clear_at,
    due_at = excluded.due_at, request = excluded.request
WHERE shipment.subject = excluded.subject
RETURNING order_id

-- name: delete
DELETE FROM shipment WHERE order_id = ANY ($1::text[])

-- name: copies
SELECT reference, partner, subject, order_id FROM shipment WHERE reference = ANY ($1::text[])
UNION ALL
SELECT reference, partner, NULL, NULL FROM spent_reference WHERE reference = ANY ($1::text[])

-- name: words
-- What partners were told and said about erased people, per person and partner.
SELECT subject, request, partner, count(*) AS revoked, count(*) FILTER (WHERE stage = 'forgotten') AS acknowledged,
    max(due_at) FILTER (WHERE stage = 'revoked') AS due_at, max(log_clear_at) AS log_clear_at
FROM shipment WHERE subject = ANY ($1::text[]) AND request IS NOT NULL
GROUP BY subject, request, partner ORDER BY subject, partner

-- name: held
SELECT partner, code, count(*) AS shipments FROM shipment WHERE stage = 'held' GROUP BY partner, code
ORDER BY partner, code

-- name: attention
SELECT partner, count(*) FILTER (WHERE stage = 'held') AS held,
    count(*) FILTER (WHERE stage = 'revoked' AND due_at < now()) AS overdue
FROM shipment WHERE stage IN ('held', 'revoked') GROUP BY partner

-- name: add_partner
INSERT INTO partner (partner_id, public_key) VALUES ($1, $2)
ON CONFLICT (partner_id) DO UPDATE SET public_key = excluded.public_key, revoked_at = NULL

-- name: add_agreement
-- The same document again changes nothing, not even back what was ended early.
INSERT INTO agreement (partner_id, sha256, scope, fields, valid_from, valid_to)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING

-- name: end_agreements
WITH turned_away AS (
    UPDATE partner SET revoked_at = now() WHERE partner_id = $1 AND revoked_at IS NULL
)
UPDATE agreement SET ended_at = now() WHERE partner_id = $1 AND ended_at IS NULL AND valid_to > now()
RETURNING sha256

-- name: hurry
-- Shipments of this partner that wait for its agreements look at them now; their lanes notice by themselves.
UPDATE timer SET due_at = now()
FROM shipment
WHERE timer.scope = shipment.order_id AND shipment.partner = $1 AND timer.event_type = ANY ($2::text[])
    AND timer.due_at > now()

-- name: list_partners
SELECT partner_id, public_key, added_at, revoked_at,
    (SELECT count(*) FROM shipment WHERE partner = partner_id AND stage = 'offered') AS offered,
    (SELECT count(*) FROM shipment WHERE partner = partner_id AND stage = 'held') AS held,
    (SELECT count(*) FROM shipment WHERE partner = partner_id AND stage = 'revoked') AS unacknowledged,
    (SELECT count(*) FROM shipment WHERE partner = partner_id AND stage = 'revoked' AND due_at < now()) AS overdue,
    (SELECT count(*) FROM shipment WHERE partner = partner_id AND stage = 'forgotten') AS acknowledged
FROM partner ORDER BY partner_id

-- name: list_agreements
SELECT partner_id, sha256, scope, fields, valid_from, valid_to, ended_at FROM agreement
ORDER BY partner_id, valid_from, sha256
