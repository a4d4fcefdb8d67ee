-- A statement names every key of the person that was ever destroyed.
CREATE INDEX data_key_dead ON data_key (subject) WHERE wrapped IS NULL;
