-- The monitor's index: what the stream of events says, arranged for questions.
-- Times and durations are whole microseconds, times since 1970. Words are numbers of `word`.

CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

-- Names of tasks, queues and workers.
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE task (
    n           INTEGER PRIMARY KEY,  -- in the order of first sight: lists go by it, newest first
    id          TEXT NOT NULL UNIQUE,
    name        INTEGER,
    queue       INTEGER,
    worker      INTEGER,              -- the last that told of it
    state       INTEGER NOT NULL,
    root        TEXT,                 -- NULL where it is the root itself
    parent      TEXT,
    retries     INTEGER NOT NULL,
    redelivered INTEGER NOT NULL,     -- how often an attempt was lost with its worker
    eta         INTEGER,
    expires     INTEGER,
    sent        INTEGER,
    received    INTEGER,              -- first
    started     INTEGER,              -- last
    ended       INTEGER,
    changed     INTEGER NOT NULL,     -- when the last step was told
    clock       INTEGER NOT NULL,     -- and the logical clock of who told it
    wait        INTEGER,              -- from when it was due to its first start
    run         INTEGER,              -- of the last attempt that ended
    args        TEXT,                 -- as Python shows them
    kwargs      TEXT,
    result      TEXT,
    error       TEXT,                 -- of the last failure, as Python shows an exception
    failure     INTEGER,              -- the group of its last failure
    resolved    INTEGER
) STRICT;
CREATE INDEX task_state ON task (state, n);
CREATE INDEX task_name ON task (name, n);
CREATE INDEX task_queue ON task (queue, n);
CREATE INDEX task_worker ON task (worker, n);
CREATE INDEX task_changed ON task (changed);
CREATE INDEX task_failure ON task (failure, n) WHERE failure IS NOT NULL;
CREATE INDEX task_resolved ON task (resolved) WHERE resolved IS NOT NULL;
CREATE INDEX task_root ON task (root, n) WHERE root IS NOT NULL;
CREATE INDEX task_parent ON task (parent, n) WHERE parent IS NOT NULL;

CREATE TABLE attempt (
    task      INTEGER NOT NULL,
    no        INTEGER NOT NULL,       -- from 1
    worker    INTEGER,
    pid       INTEGER,
    started   INTEGER,
    ended     INTEGER,
    outcome   INTEGER,                -- NULL while it runs
    error     TEXT,
    traceback TEXT,
    PRIMARY KEY (task, no)
) STRICT, WITHOUT ROWID;

-- Failures that are the same.
CREATE TABLE failure (
    id       INTEGER PRIMARY KEY,
    title    TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    count    INTEGER NOT NULL,
    open     INTEGER NOT NULL,        -- tasks that have failed so, and neither run again nor are resolved
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
CREATE INDEX failure_last ON failure (last);

CREATE TABLE failure_hour (
    failure INTEGER NOT NULL,
    hour    INTEGER NOT NULL,         -- when it begins
    name    INTEGER,
    count   INTEGER NOT NULL,
    PRIMARY KEY (failure, hour, name)
) STRICT;

-- The texts of errors, to find substrings; its rows are those of the tasks that have failed.
CREATE VIRTUAL TABLE found USING fts5 (error, tokenize = 'trigram');

-- What was counted in a stretch of time: starts (with how long they waited) and ends (with how long they ran).
CREATE TABLE series (
    step  INTEGER NOT NULL,           -- how long the stretch is
    at    INTEGER NOT NULL,           -- when it begins
    name  INTEGER NOT NULL,           -- 0 where it is not known
    queue INTEGER NOT NULL,           -- 0 where it is not known
    state INTEGER NOT NULL,
    count INTEGER NOT NULL,
    wait  BLOB NOT NULL,
    run   BLOB NOT NULL,
    PRIMARY KEY (step, at, name, queue, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
    name      INTEGER PRIMARY KEY,
    beat      INTEGER NOT NULL,       -- 0 online or alive, 1 offline, 2 lost
    seen      INTEGER NOT NULL,
    online    INTEGER,                -- when it began
    every     INTEGER NOT NULL,       -- from one heartbeat to the next
    active    INTEGER,
    processed INTEGER,
    load      REAL,
    ident     TEXT,
    version   TEXT,
    pid       INTEGER,
    dropped   INTEGER NOT NULL
) STRICT;

-- How many tasks are in each state.
CREATE TABLE tally (state INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;

-- What was given up, by its place in the archive.
CREATE TABLE dead (
    offset  INTEGER PRIMARY KEY,
    at      INTEGER,                  -- when it was given up
    reason  TEXT NOT NULL,
    task    INTEGER,
    id      TEXT,
    queue   INTEGER,
    worker  INTEGER,
    error   TEXT,
    args    TEXT,
    retries INTEGER NOT NULL,
    size    INTEGER NOT NULL,         -- of the body, in bytes
    state   TEXT NOT NULL,            -- open, requeued or discarded
    done    INTEGER,                  -- when it was requeued or discarded
    by      TEXT                      -- and by whom
) STRICT;
CREATE INDEX dead_state ON dead (state, offset);
CREATE INDEX dead_id ON dead (id) WHERE id IS NOT NULL;

-- What people did.
CREATE TABLE audit (
    n         INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    at        INTEGER NOT NULL,
    by        TEXT NOT NULL,
    action    TEXT NOT NULL,
    target    TEXT NOT NULL,
    arguments TEXT NOT NULL,          -- JSON
    ended     INTEGER,                -- NULL: it did not end, or its end was not told
    outcome   TEXT                    -- JSON
) STRICT;
CREATE INDEX audit_target ON audit (target, n);
