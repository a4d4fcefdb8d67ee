-- The key under which a day's tags are made. UNLOGGED: no WAL, so it is on no standby, in no archive and in no base
-- backup, and a crash of the database loses it. Its number is logged, so that the next one has a higher one.
-- No column is stored elsewhere (TOAST), and the index holds no key.

CREATE SEQUENCE tag_key_number MAXVALUE 2147483647;

CREATE UNLOGGED TABLE tag_key (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL,
    material bytea NOT NULL CHECK (length(material) = 32),
    dies_at timestamptz NOT NULL
);
ALTER TABLE tag_key ALTER COLUMN material SET STORAGE PLAIN;
COMMENT ON TABLE tag_key IS 'At most one row, which dies at midnight (UTC). Never in a dump: pg_dump --no-unlogged-table-data.';
