-- The first schema: as SQLite's, one narrow row per job changes; arguments and results have tables of their own.
-- Columns of `job` stand in the order of the fields of `ramify.model.Row`. Ids are compared as bytes.

CREATE TABLE ramify.lane (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    queue text NOT NULL,
    task text,
    slot text,
    units integer NOT NULL,
    UNIQUE NULLS NOT DISTINCT (queue, task, slot, units)
);

CREATE TABLE ramify.job (
    id text COLLATE "C" PRIMARY KEY,
    tree text COLLATE "C" NOT NULL,
    parent text COLLATE "C",
    lane integer NOT NULL,
    priority integer NOT NULL,
    label text,
    hold text COLLATE "C",
    step text COLLATE "C" NOT NULL DEFAULT 'run',
    state text COLLATE "C" NOT NULL,
    cancelled boolean NOT NULL DEFAULT false,
    waits integer NOT NULL,
    bads integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    session text COLLATE "C",
    due double precision,
    tries integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    losses integer NOT NULL DEFAULT 0,
    grown boolean NOT NULL DEFAULT false,
    fast boolean NOT NULL DEFAULT false,
    size integer NOT NULL DEFAULT 0,
    last text COLLATE "C",
    barrier text COLLATE "C",
    lasts double precision,
    deadline double precision,
    started double precision,
    ended double precision
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

-- What can be claimed: to run, and to end. A scheduled job enters the first when it is due.
CREATE INDEX job_ready ON ramify.job (lane, priority DESC, tree, id)
    WHERE state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL;
CREATE INDEX job_end ON ramify.job (tree, id) WHERE state = 'ready' AND (step = 'end' OR bads > 0);
CREATE INDEX job_due ON ramify.job (due, id) WHERE due IS NOT NULL AND state = 'ready' AND step = 'run' AND bads = 0;
CREATE INDEX job_running ON ramify.job (session, cancelled, id) WHERE state = 'running';
CREATE INDEX job_held ON ramify.job (hold, id) WHERE hold IS NOT NULL;
CREATE INDEX job_deadline ON ramify.job (deadline, id) WHERE deadline IS NOT NULL;
CREATE INDEX job_undone ON ramify.job (state, id) WHERE state IN ('failed', 'cancelled', 'skipped');
CREATE INDEX job_tree ON ramify.job (tree, id) WHERE parent IS NOT NULL;

CREATE TABLE ramify.payload (
    job text COLLATE "C" PRIMARY KEY,
    args bytea NOT NULL,
    policy text,
    takes boolean NOT NULL
);

CREATE TABLE ramify.result (
    job text COLLATE "C" PRIMARY KEY,
    value bytea,
    spread boolean NOT NULL DEFAULT false,
    failure text,
    percent integer,
    status text
);

CREATE TABLE ramify.edge (
    after text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    before text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    asks text COLLATE "C" NOT NULL,
    slots text,
    verdict text COLLATE "C",
    PRIMARY KEY (after, place)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
CREATE INDEX edge_out ON ramify.edge (before, after, place);

CREATE TABLE ramify.mark (
    mark text COLLATE "C" NOT NULL,
    job text COLLATE "C" NOT NULL,
    PRIMARY KEY (mark, job)
);
CREATE INDEX mark_job ON ramify.mark (job);

CREATE TABLE ramify.request (request text COLLATE "C" PRIMARY KEY, job text COLLATE "C" NOT NULL);
CREATE INDEX request_job ON ramify.request (job);

CREATE TABLE ramify.work (
    number bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    job text COLLATE "C" NOT NULL,
    verb text COLLATE "C" NOT NULL,
    cursor text COLLATE "C" NOT NULL,
    origin text COLLATE "C",
    UNIQUE (job, verb)
);

CREATE TABLE ramify.session (
    id text COLLATE "C" PRIMARY KEY,
    about text NOT NULL,
    lease double precision NOT NULL,
    dead boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE TABLE ramify.rule (name text COLLATE "C" PRIMARY KEY, n integer NOT NULL);
