-- What the keyring knows: people as random ids, what is held for which reason, and wrapped keys.
-- "C" collation everywhere: rows are locked in sorted order, and the order must be the same for everybody.

CREATE TABLE subject (
    id text COLLATE "C" PRIMARY KEY,
    storefront text,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'erasing', 'erased')),
    request text,
    round integer NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE subject IS
    'One row per person for ever: mint locks it FOR SHARE, holds and destruction FOR UPDATE. No way back from erased.';
COMMENT ON COLUMN subject.storefront IS 'Who brought the person; null until the first mint.';

CREATE TABLE pair (
    subject text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    ground text CHECK (ground IN ('provisional', 'open-order', 'statutory')),
    held_until timestamptz,
    revision integer NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, scope, category)
);
CREATE INDEX pair_due ON pair (held_until) WHERE held_until IS NOT NULL;
COMMENT ON TABLE pair IS
    'Why keys may not die yet. A ground belongs to the pair, so that keys minted later, and none yet, have it too.';

CREATE TABLE kek (
    category text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('primary', 'retiring', 'destroying', 'destroyed')),
    thumbprint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    destroyed_at timestamptz,
    PRIMARY KEY (category, version)
);
CREATE UNIQUE INDEX kek_primary ON kek (category) WHERE state = 'primary';
COMMENT ON COLUMN kek.thumbprint IS 'SHA-256 of the key in the provider: another key under the same name is noticed.';

-- No foreign keys: what they would guarantee follows from the locks every writer takes, and they cost as much as
-- the insert itself. A destroyed key keeps its row, so that "erased" and "never existed" stay two answers.
CREATE TABLE data_key (
    kid text COLLATE "C" PRIMARY KEY,
    subject text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    kek_version integer NOT NULL,
    wrapped bytea,
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE INDEX data_key_live ON data_key (subject) WHERE wrapped IS NOT NULL;
CREATE INDEX data_key_kek ON data_key (category, kek_version) WHERE wrapped IS NOT NULL;

CREATE TABLE opening (
    hour timestamptz NOT NULL,
    principal text NOT NULL,
    category text NOT NULL,
    purpose text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (hour, principal, category, purpose)
);
COMMENT ON TABLE opening IS 'Keys handed out, counted before they were: by worker, category and purpose.';
