-- What the gateway keeps: who may call, and what it may tell about erasure requests. Nothing names a person.

CREATE TABLE storefront (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{1,30}$'),
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    added_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
COMMENT ON COLUMN storefront.token_sha256 IS 'The token itself is shown once, when it is made, and kept nowhere.';

CREATE TABLE request (
    id text PRIMARY KEY,
    storefront text NOT NULL,
    commitment text NOT NULL,
    state text NOT NULL DEFAULT 'received',
    progress text NOT NULL DEFAULT '{}',
    certificate text NOT NULL DEFAULT '',
    seen text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE request IS 'One row per erasure request; the subject is not in it, and the salt of the commitment is nowhere.';
COMMENT ON COLUMN request.seen IS 'Ids of the events folded into the row, space separated.';
