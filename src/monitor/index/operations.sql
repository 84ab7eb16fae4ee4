-- Operations: something done with each of many dead letters or tasks.
CREATE TABLE operation (
    n       INTEGER PRIMARY KEY,
    id      TEXT NOT NULL UNIQUE,     -- that of its record in the audit
    action  TEXT NOT NULL,
    q       TEXT NOT NULL,
    rate    REAL NOT NULL,            -- per second
    queue   TEXT,                     -- instead of the queue that each came from
    by      TEXT NOT NULL,
    phase   TEXT NOT NULL,
    matched INTEGER NOT NULL,
    place   INTEGER NOT NULL,         -- of the next target
    hand    INTEGER NOT NULL,         -- so many from there on are in hand
    done    INTEGER NOT NULL,
    failed  INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    begun   INTEGER NOT NULL,
    ended   INTEGER                   -- NULL until its end is written down in the audit
) STRICT;
CREATE INDEX operation_open ON operation (phase) WHERE ended IS NULL;

-- What it is to be done with, fixed when it began; offsets of letters, numbers of tasks.
CREATE TABLE operation_target (
    operation INTEGER NOT NULL,
    place     INTEGER NOT NULL,       -- from 0
    key       INTEGER NOT NULL,
    PRIMARY KEY (operation, place)
) STRICT, WITHOUT ROWID;

-- Why some were passed over.
CREATE TABLE operation_skip (
    operation INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (operation, reason)
) STRICT, WITHOUT ROWID;

-- With which it did not go well.
CREATE TABLE operation_failure (
    operation INTEGER NOT NULL,
    place     INTEGER NOT NULL,
    target    TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    detail    TEXT NOT NULL,
    PRIMARY KEY (operation, place)
) STRICT, WITHOUT ROWID;
