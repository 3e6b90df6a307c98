-- The first schema. One narrow row per job changes; arguments and results have tables of their own.
-- Columns of `job` stand in the order of the fields of `ramify.model.Row`.

CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    task TEXT,
    slot TEXT,
    units INTEGER NOT NULL
) STRICT;

CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY,
    tree TEXT NOT NULL,
    parent TEXT,
    lane INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    label TEXT,
    hold TEXT,
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0,
    waits INTEGER NOT NULL,
    bads INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    session TEXT,
    due REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    grown INTEGER NOT NULL DEFAULT 0,
    fast INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL DEFAULT 0,
    last TEXT,
    barrier TEXT,
    lasts REAL,
    deadline REAL,
    started REAL,
    ended REAL
) STRICT, WITHOUT ROWID;

-- What can be claimed: to run, and to end. A scheduled job enters the first when it is due.
CREATE INDEX job_ready ON job (lane, priority DESC, tree, id)
    WHERE state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL;
CREATE INDEX job_end ON job (tree, id) WHERE state = 'ready' AND (step = 'end' OR bads > 0);
CREATE INDEX job_due ON job (due, id) WHERE due IS NOT NULL AND state = 'ready' AND step = 'run' AND bads = 0;
CREATE INDEX job_running ON job (session, cancelled, id) WHERE state = 'running';
CREATE INDEX job_held ON job (hold, id) WHERE hold IS NOT NULL;
CREATE INDEX job_deadline ON job (deadline, id) WHERE deadline IS NOT NULL;
-- OR, not IN: a list is looked up in a table made for it, which made each insert dearer by a quarter.
CREATE INDEX job_undone ON job (state, id) WHERE state = 'failed' OR state = 'cancelled' OR state = 'skipped';
-- Without roots: their id is the tree's, and a job by itself needs one page less to be added.
CREATE INDEX job_tree ON job (tree, id) WHERE parent IS NOT NULL;

CREATE TABLE payload (
    job TEXT NOT NULL PRIMARY KEY,
    args BLOB NOT NULL,
    policy TEXT,
    takes INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE result (
    job TEXT NOT NULL PRIMARY KEY,
    value BLOB,
    spread INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    percent INTEGER,
    status TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE edge (
    after TEXT NOT NULL,
    place INTEGER NOT NULL,
    before TEXT NOT NULL,
    kind TEXT NOT NULL,
    asks TEXT NOT NULL,
    slots TEXT,
    verdict TEXT,
    PRIMARY KEY (after, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_out ON edge (before, after, place);

CREATE TABLE mark (mark TEXT NOT NULL, job TEXT NOT NULL, PRIMARY KEY (mark, job)) STRICT, WITHOUT ROWID;
CREATE INDEX mark_job ON mark (job);

CREATE TABLE request (request TEXT NOT NULL PRIMARY KEY, job TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX request_job ON request (job);

CREATE TABLE work (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    verb TEXT NOT NULL,
    cursor TEXT NOT NULL,
    origin TEXT,
    UNIQUE (job, verb)
) STRICT;

-- `lease` is in seconds of the host's boot clock, which no one can set.
CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY,
    about TEXT NOT NULL,
    boot TEXT NOT NULL,
    lease REAL NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE rule (name TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
