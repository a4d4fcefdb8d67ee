-- name: load
SELECT order_id, subject, stage, revision, carrier, tracking, basket, ship_to, invoice
FROM orders WHERE order_id = ANY ($1::text[])

-- name: save
-- Basket and address are written once: no later save can bring back what an erasure took.
-- An order id that another person's order has by now is left alone; the caller sees it in the number of rows.
INSERT INTO orders (order_id, subject, stage, revision, carrier, tracking, basket, ship_to, invoice)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[])
ON CONFLICT (order_id) DO UPDATE
SET stage = excluded.stage, revision = excluded.revision, tracking = excluded.tracking, invoice = excluded.invoice
WHERE orders.subject = excluded.subject
RETURNING order_id

-- name: delete_unheld
DELETE FROM orders WHERE subject = $1 AND order_id <> ALL ($2::text[]) RETURNING order_id

-- name: anonymise_unheld
WITH held AS (
    SELECT * FROM unnest($2::text[], $3::text[]) AS pair (scope, category)
), left_over AS (
    SELECT order_id,
        EXISTS (SELECT FROM held WHERE scope = order_id AND category = 'transaction') AS basket,
        EXISTS (SELECT FROM held WHERE scope = order_id AND category = 'logistics') AS ship_to,
        EXISTS (SELECT FROM held WHERE scope = order_id AND category = 'accounting') AS invoice
    FROM orders WHERE subject = $1
)
UPDATE orders SET
    basket = CASE WHEN left_over.basket THEN orders.basket END,
    ship_to = CASE WHEN left_over.ship_to THEN orders.ship_to END,
    invoice = CASE WHEN left_over.invoice THEN orders.invoice END
FROM left_over
WHERE orders.order_id = left_over.order_id AND (
    orders.basket IS NOT NULL AND NOT left_over.basket
    OR orders.ship_to IS NOT NULL AND NOT left_over.ship_to
    OR orders.invoice IS NOT NULL AND NOT left_over.invoice
)
RETURNING orders.order_id

-- name: kept
SELECT order_id, category FROM orders,
    LATERAL (VALUES ('transaction', basket), ('logistics', ship_to), ('accounting', invoice)) AS part (category, token)
WHERE subject = $1 AND token IS NOT NULL
