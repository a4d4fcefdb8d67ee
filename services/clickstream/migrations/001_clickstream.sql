-- What is counted until a window closes, what was published, and how far each window is in each lane.

CREATE TABLE closing (
    storefront text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    lane integer NOT NULL,
    day text COLLATE "C" NOT NULL,
    ends_at timestamptz NOT NULL,
    stage text COLLATE "C" NOT NULL DEFAULT 'open'
        CHECK (stage IN ('open', 'waiting', 'counting', 'sweeping', 'closed')),
    until_offset bigint,
    after bytea,
    told boolean NOT NULL DEFAULT false,
    PRIMARY KEY (storefront, "window", lane),
    CHECK (stage = 'open' OR until_offset IS NOT NULL)
);
CREATE INDEX closing_open ON closing (ends_at) WHERE stage = 'open';
CREATE INDEX closing_old ON closing (ends_at) WHERE stage = 'closed';
CREATE INDEX closing_work ON closing (lane, until_offset) WHERE stage IN ('waiting', 'counting', 'sweeping');
CREATE INDEX closing_untold ON closing (storefront, "window") WHERE lane = 0 AND stage = 'closed' AND NOT told;
COMMENT ON COLUMN closing.until_offset IS 'The first record that comes too late; read from the broker after the end and its grace.';
COMMENT ON COLUMN closing.after IS 'While counting: the last cell that was counted.';
COMMENT ON COLUMN closing.told IS 'In lane 0: the numbers of all lanes are published.';

CREATE TABLE early (
    storefront text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (storefront, "window")
);
COMMENT ON TABLE early IS 'Windows that an operator wants closed before their time.';

CREATE TABLE cell (
    lane integer NOT NULL,
    storefront text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    kind text COLLATE "C" NOT NULL,
    named text COLLATE "C" NOT NULL,
    sealed text COLLATE "C" NOT NULL,
    PRIMARY KEY (lane, storefront, "window", id)
);
ALTER TABLE cell ALTER COLUMN sealed SET STORAGE EXTERNAL;
COMMENT ON TABLE cell IS 'Cells of windows that are not closed; the id is a hash of the rest, short where a row per visitor repeats it.';
COMMENT ON COLUMN cell.named IS 'What the gateway calls it; says nothing of its text.';
COMMENT ON COLUMN cell.sealed IS 'Its text, which the shares of a crowd open and nothing else.';

CREATE TABLE contribution (
    cell bytea NOT NULL,
    tag bytea NOT NULL,
    share bytea NOT NULL,
    PRIMARY KEY (cell, tag)
);
COMMENT ON TABLE contribution IS 'One row per visitor of a cell; deleted when its window closes.';

CREATE TABLE candidate (
    storefront text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    cell text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (storefront, "window", kind, cell)
);
COMMENT ON TABLE candidate IS 'What crowds opened in some lanes, until all lanes have closed the window.';

CREATE TABLE dropped (
    storefront text COLLATE "C" NOT NULL,
    day text COLLATE "C" NOT NULL,
    lane integer NOT NULL,
    mass bigint NOT NULL,
    PRIMARY KEY (storefront, day, lane)
);
COMMENT ON TABLE dropped IS 'Visitors of cells without a crowd, until all lanes of a day are summed.';

CREATE TABLE statistic (
    storefront text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    cell text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (storefront, "window", kind, cell)
);
COMMENT ON TABLE statistic IS 'What was published, once each.';

CREATE TABLE mass (
    storefront text COLLATE "C" NOT NULL,
    day text COLLATE "C" NOT NULL,
    mass bigint NOT NULL,
    PRIMARY KEY (storefront, day)
);
COMMENT ON TABLE mass IS 'What was dropped of a day, as published.';

CREATE TABLE tally (
    lane integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    cells bigint NOT NULL,
    PRIMARY KEY (lane, reason)
);
COMMENT ON TABLE tally IS 'What became of every cell that was read.';
