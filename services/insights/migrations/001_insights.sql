-- What was published for a crowd, and who may read it. Nothing here is about a person.

CREATE TABLE counted (
    storefront text NOT NULL,
    kind text NOT NULL,
    during text NOT NULL,
    cell text NOT NULL,
    at_least bigint NOT NULL CHECK (at_least > 0),
    PRIMARY KEY (storefront, kind, during, cell)
);
CREATE INDEX counted_most ON counted (storefront, kind, during, at_least DESC, cell COLLATE "C");
COMMENT ON COLUMN counted.during IS 'A window: a UTC day, or an hour of it.';

CREATE TABLE heard (
    storefront text NOT NULL,
    kind text NOT NULL,
    during text NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (storefront, kind, during)
);
CREATE INDEX heard_ends_at ON heard (ends_at);
COMMENT ON TABLE heard IS 'Of which windows anything is kept, so that nobody has to look through all counts.';

CREATE TABLE dropped (
    storefront text NOT NULL,
    day text NOT NULL,
    at_least bigint NOT NULL CHECK (at_least >= 0),
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (storefront, day)
);

CREATE TABLE ranked (
    storefront text NOT NULL,
    listing text NOT NULL,
    of text NOT NULL,
    through text NOT NULL,
    ends_at timestamptz NOT NULL,
    items jsonb NOT NULL,
    PRIMARY KEY (storefront, listing, of)
);
CREATE INDEX ranked_ends_at ON ranked (ends_at);

CREATE TABLE reader (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{1,30}$'),
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    added_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
COMMENT ON COLUMN reader.token_sha256 IS 'The token itself is shown once, when it is made, and kept nowhere.';

CREATE TABLE session (
    session_sha256 bytea PRIMARY KEY CHECK (octet_length(session_sha256) = 32),
    token_sha256 bytea NOT NULL,
    ends_at timestamptz NOT NULL
);
CREATE INDEX session_token ON session (token_sha256);
COMMENT ON TABLE session IS 'Who signed in at the page, by the token they showed: it ends with the token, or by itself.';
