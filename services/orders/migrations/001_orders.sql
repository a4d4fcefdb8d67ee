-- One row per order. No clear personal data, no amount, no exact time: day and amount alone single a person out.

CREATE TABLE orders (
    order_id text PRIMARY KEY,
    subject text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('placed', 'paid', 'delivered', 'cancelled', 'closed')),
    revision integer NOT NULL CHECK (revision >= 1),
    carrier text NOT NULL,
    tracking text,
    basket text,
    ship_to text,
    invoice text
);
CREATE INDEX orders_subject ON orders (subject);
COMMENT ON COLUMN orders.basket IS 'Sealed (transaction); null once erased.';
COMMENT ON COLUMN orders.ship_to IS 'Sealed (logistics), passed on unread; null once erased.';
COMMENT ON COLUMN orders.invoice IS 'Sealed (accounting); null until paid and once erased.';
