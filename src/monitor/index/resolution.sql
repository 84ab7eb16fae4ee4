-- What somebody has said is dealt with: a kind of failure by its title, a task by its id.
CREATE TABLE resolution (
    kind TEXT NOT NULL,               -- failure or task
    key  TEXT NOT NULL,
    at   INTEGER NOT NULL,
    by   TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
