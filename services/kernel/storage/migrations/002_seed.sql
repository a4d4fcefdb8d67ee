-- Chance that comes again: what a lane decides from records read once more, after a restore, is what it decided before,
-- down to the references that others know its things by. Two of PostgreSQL's random UUIDs: 244 random bits.
ALTER TABLE lane ADD COLUMN seed bytea NOT NULL
    DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
COMMENT ON COLUMN lane.seed IS 'Secret: who has it and an event''s id can compute the reference that was made of them.';
