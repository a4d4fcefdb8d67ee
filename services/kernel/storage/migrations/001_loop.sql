-- What the worker loop keeps, in the schema of each worker. A lane's rows are touched under the lane's lock only.

CREATE TABLE lane (
    lane text PRIMARY KEY,
    last_number bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE lane IS 'Locked FOR UPDATE as the first statement of every batch; last_number counts outgoing rows.';

CREATE TABLE progress (
    topic text NOT NULL,
    partition integer NOT NULL,
    lane text NOT NULL REFERENCES lane,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE INDEX progress_lane ON progress (lane);

CREATE TABLE stream (
    topic text PRIMARY KEY,
    topic_id text NOT NULL
);
COMMENT ON TABLE stream IS 'Which incarnation of a topic the offsets belong to.';

CREATE TABLE outbox (
    lane text NOT NULL REFERENCES lane,
    number bigint NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    value bytea,
    headers bytea NOT NULL,
    subject text,
    scope text,
    sealed text[] NOT NULL,
    partner text,
    PRIMARY KEY (lane, number)
);
CREATE INDEX outbox_subject ON outbox (subject) WHERE sealed <> '{}';

CREATE TABLE suppression (
    subject text PRIMARY KEY,
    request text NOT NULL,
    round integer NOT NULL,
    but text[] NOT NULL,
    suppressed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN suppression.but IS 'Excepted pairs, each as scope/category.';

CREATE TABLE remembered (
    subject text PRIMARY KEY
);
COMMENT ON TABLE remembered IS 'Subjects this owner stored for: an erasure that finds nothing of them is a failure.';

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane text NOT NULL REFERENCES lane,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    code text NOT NULL,
    field_path text NOT NULL,
    parked boolean NOT NULL,
    blocks boolean NOT NULL,
    subject text,
    scope text,
    state_key text,
    event_type text,
    headers bytea NOT NULL,
    value bytea,
    length integer NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    redrive boolean NOT NULL DEFAULT false
);
CREATE INDEX dead_letter_blocks ON dead_letter (state_key) WHERE blocks;
CREATE INDEX dead_letter_subject ON dead_letter (subject);
CREATE INDEX dead_letter_redrive ON dead_letter (lane) WHERE redrive;

CREATE TABLE timer (
    lane text NOT NULL REFERENCES lane,
    state_key text NOT NULL,
    event_type text NOT NULL,
    subject text NOT NULL,
    scope text,
    body bytea NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (lane, state_key, event_type)
);
CREATE INDEX timer_due ON timer (due_at);
CREATE INDEX timer_subject ON timer (subject);

CREATE TABLE ending (
    lane text NOT NULL REFERENCES lane,
    topic text NOT NULL,
    ending text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (lane, topic, ending)
);
