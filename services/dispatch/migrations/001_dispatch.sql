-- Partners and what they signed; what became of each shipment. No clear personal data, no exact time.

CREATE TABLE partner (
    partner_id text PRIMARY KEY,
    public_key text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
COMMENT ON COLUMN partner.public_key IS 'A JWK in JSON: the public half only.';
COMMENT ON COLUMN partner.revoked_at IS 'Set when the partner was turned away; its agreements ended then.';

CREATE TABLE agreement (
    partner_id text NOT NULL REFERENCES partner,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    scope text NOT NULL,
    fields text[] NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz NOT NULL CHECK (valid_to > valid_from),
    ended_at timestamptz,
    PRIMARY KEY (partner_id, sha256)
);
COMMENT ON COLUMN agreement.sha256 IS 'Of the signed document, which is kept elsewhere.';

-- One row per shipment: its partner's copy has at most one reference.
CREATE TABLE shipment (
    order_id text PRIMARY KEY,
    subject text NOT NULL,
    partner text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('held', 'offered', 'revoked', 'forgotten', 'dropped')),
    service text,
    code text,
    ship_to text,
    reference text UNIQUE,
    reason text,
    log_clear_at timestamptz,
    due_at timestamptz,
    request text
);
CREATE INDEX shipment_subject ON shipment (subject);
CREATE INDEX shipment_held ON shipment (partner) WHERE stage = 'held';
CREATE INDEX shipment_due ON shipment (partner, due_at) WHERE stage = 'revoked';
COMMENT ON COLUMN shipment.ship_to IS 'Sealed (logistics), only while the shipment is held.';
COMMENT ON COLUMN shipment.reference IS 'What the partner knows the shipment by; null once an erased one is acknowledged.';
COMMENT ON COLUMN shipment.request IS 'The erasure request that waits for the acknowledgement.';

CREATE TABLE spent_reference (
    reference text PRIMARY KEY,
    partner text NOT NULL
);
COMMENT ON TABLE spent_reference IS
    'References of erased and acknowledged copies: they lead to nobody, but a partner who repeats itself is understood.';
