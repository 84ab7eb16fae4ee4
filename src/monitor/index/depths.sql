-- How many messages were ready at most in a stretch of time. None: nobody looked, or there was no such queue.
CREATE TABLE depth (
    step  INTEGER NOT NULL,           -- how long the stretch is
    at    INTEGER NOT NULL,           -- when it begins
    queue INTEGER NOT NULL,
    most  INTEGER NOT NULL,
    PRIMARY KEY (step, at, queue)
) STRICT, WITHOUT ROWID;
