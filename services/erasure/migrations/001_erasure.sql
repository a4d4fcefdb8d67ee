-- One row per erased subject, kept for ever: the proof that a request was carried out, and what to do when a ground ends.

CREATE TABLE erasure (
    subject text PRIMARY KEY,
    request text NOT NULL UNIQUE,
    state text NOT NULL,
    round integer NOT NULL,
    missing text[] NOT NULL,
    missing_since timestamptz,
    body jsonb NOT NULL
);
CREATE INDEX erasure_open ON erasure (missing_since) WHERE state <> 'certified';
COMMENT ON COLUMN erasure.body IS 'The whole state; the columns before it repeat what operators ask for.';
