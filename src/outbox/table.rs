//! The table, and what is said to each database.
//!
//! Times are milliseconds since 1970 by the database's clock, so that relays on several machines
//! agree about them, and so that one reader reads both databases; but for `eta`, which is in microseconds
//! by the clock of the program that staged.

/// The statements of one database.
#[derive(Debug)]
pub(super) struct Statements {
    /// Makes the table, one after the other.
    pub(super) make: &'static [&'static str],
    /// -> a row if something is due.
    pub(super) look: &'static str,
    /// token, milliseconds of the lease, how many -> the columns of [`super::row::read`].
    pub(super) claim: &'static str,
    /// JSON list of ids -> a row for each.
    pub(super) remove: &'static str,
    /// JSON list of ids, token -> a row for each that was still ours.
    pub(super) release: &'static str,
    /// id, token, error, milliseconds -> a row if it was still ours.
    pub(super) put_off: &'static str,
    /// how many -> the columns of [`super::store::read_entry`], oldest first.
    pub(super) list: &'static str,
    /// The same of those alone that could not be sent.
    pub(super) list_failing: &'static str,
    /// -> how many there are, how many could not be sent, how old the oldest is in milliseconds.
    pub(super) count: &'static str,
    /// task id, or null for all that could not be sent -> task ids.
    pub(super) retry: &'static str,
    /// task id, or null for all that could not be sent -> task ids.
    pub(super) discard: &'static str,
}

/// The channel on which PostgreSQL tells that something was staged.
#[cfg(feature = "postgres")]
pub(super) const CHANNEL: &str = "celeriac_outbox";

/// The time in PostgreSQL.
#[cfg(feature = "postgres")]
macro_rules! pg_now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// The time in SQLite.
#[cfg(feature = "sqlite")]
macro_rules! lite_now {
    () => {
        "CAST((julianday('now') - 2440587.5) * 86400000 AS integer)"
    };
}

/// What is shown of a row, with the time of the database in its place.
macro_rules! entry {
    ($now:expr) => {
        concat!(
            "task_id, task, exchange, routing_key, ",
            $now,
            " - staged_at, attempts, error, due_at - ",
            $now,
            ", claim, CAST(length(body) AS bigint)"
        )
    };
}

#[cfg(feature = "postgres")]
pub(super) static POSTGRES: Statements = Statements {
    make: &[
        concat!(
            "CREATE TABLE IF NOT EXISTS celeriac_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id text NOT NULL,
    task text NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    queue text,
    eta bigint,
    message text NOT NULL,
    body bytea NOT NULL,
    chords text,
    staged_at bigint NOT NULL DEFAULT (",
            pg_now!(),
            "),
    due_at bigint NOT NULL DEFAULT 0,
    claim text,
    attempts bigint NOT NULL DEFAULT 0,
    error text
)"
        ),
        "CREATE INDEX IF NOT EXISTS celeriac_outbox_task_id ON celeriac_outbox (task_id)",
        "CREATE OR REPLACE FUNCTION celeriac_outbox_staged() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('celeriac_outbox', ''); RETURN NULL; END $$",
        "CREATE OR REPLACE TRIGGER celeriac_outbox_staged AFTER INSERT ON celeriac_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION celeriac_outbox_staged()",
    ],
    look: concat!("SELECT 1 FROM celeriac_outbox WHERE due_at <= ", pg_now!(), " LIMIT 1"),
    // What other relays are just claiming is passed over.
    claim: concat!(
        "WITH due AS MATERIALIZED (
            SELECT id FROM celeriac_outbox WHERE due_at <= ",
        pg_now!(),
        " ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
        )
        UPDATE celeriac_outbox AS row SET claim = $1, due_at = ",
        pg_now!(),
        " + $2 FROM due WHERE row.id = due.id
        RETURNING row.id, task_id, task, exchange, routing_key, queue, eta, message, body, chords,
            attempts"
    ),
    remove: "DELETE FROM celeriac_outbox
        WHERE id IN (SELECT json_array_elements_text($1::json)::bigint) RETURNING 1",
    release: "UPDATE celeriac_outbox SET claim = NULL, due_at = 0
        WHERE id IN (SELECT json_array_elements_text($1::json)::bigint) AND claim = $2 RETURNING 1",
    put_off: concat!(
        "UPDATE celeriac_outbox SET claim = NULL, attempts = attempts + 1, error = $3, due_at = ",
        pg_now!(),
        " + $4 WHERE id = $1 AND claim = $2 RETURNING 1"
    ),
    list: concat!("SELECT ", entry!(pg_now!()), " FROM celeriac_outbox ORDER BY id LIMIT $1"),
    list_failing: concat!(
        "SELECT ",
        entry!(pg_now!()),
        " FROM celeriac_outbox WHERE error IS NOT NULL ORDER BY id LIMIT $1"
    ),
    count: concat!(
        "SELECT count(*), count(error), ",
        pg_now!(),
        " - min(staged_at) FROM celeriac_outbox"
    ),
    retry: "UPDATE celeriac_outbox SET due_at = 0
        WHERE claim IS NULL AND (task_id = $1::text OR ($1::text IS NULL AND error IS NOT NULL))
        RETURNING task_id",
    discard: concat!(
        "DELETE FROM celeriac_outbox WHERE (claim IS NULL OR due_at <= ",
        pg_now!(),
        ") AND (task_id = $1::text OR ($1::text IS NULL AND error IS NOT NULL)) RETURNING task_id"
    ),
};

#[cfg(feature = "sqlite")]
pub(super) static SQLITE: Statements = Statements {
    make: &[
        concat!(
            "CREATE TABLE IF NOT EXISTS celeriac_outbox (
    id integer PRIMARY KEY AUTOINCREMENT,
    task_id text NOT NULL,
    task text NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    queue text,
    eta integer,
    message text NOT NULL,
    body blob NOT NULL,
    chords text,
    staged_at integer NOT NULL DEFAULT (",
            lite_now!(),
            "),
    due_at integer NOT NULL DEFAULT 0,
    claim text,
    attempts integer NOT NULL DEFAULT 0,
    error text
)"
        ),
        "CREATE INDEX IF NOT EXISTS celeriac_outbox_task_id ON celeriac_outbox (task_id)",
    ],
    // Only a reader: an empty table is looked at without holding up those who write.
    look: concat!("SELECT 1 FROM celeriac_outbox WHERE due_at <= ", lite_now!(), " LIMIT 1"),
    claim: concat!(
        "UPDATE celeriac_outbox SET claim = $1, due_at = ",
        lite_now!(),
        " + $2 WHERE id IN (SELECT id FROM celeriac_outbox WHERE due_at <= ",
        lite_now!(),
        " ORDER BY id LIMIT $3)
        RETURNING id, task_id, task, exchange, routing_key, queue, eta, message, body, chords,
            attempts"
    ),
    remove: "DELETE FROM celeriac_outbox WHERE id IN (SELECT value FROM json_each($1)) RETURNING 1",
    release: "UPDATE celeriac_outbox SET claim = NULL, due_at = 0
        WHERE id IN (SELECT value FROM json_each($1)) AND claim = $2 RETURNING 1",
    put_off: concat!(
        "UPDATE celeriac_outbox SET claim = NULL, attempts = attempts + 1, error = $3, due_at = ",
        lite_now!(),
        " + $4 WHERE id = $1 AND claim = $2 RETURNING 1"
    ),
    list: concat!("SELECT ", entry!(lite_now!()), " FROM celeriac_outbox ORDER BY id LIMIT $1"),
    list_failing: concat!(
        "SELECT ",
        entry!(lite_now!()),
        " FROM celeriac_outbox WHERE error IS NOT NULL ORDER BY id LIMIT $1"
    ),
    count: concat!(
        "SELECT count(*), count(error), ",
        lite_now!(),
        " - min(staged_at) FROM celeriac_outbox"
    ),
    retry: "UPDATE celeriac_outbox SET due_at = 0
        WHERE claim IS NULL AND (task_id = $1 OR ($1 IS NULL AND error IS NOT NULL))
        RETURNING task_id",
    discard: concat!(
        "DELETE FROM celeriac_outbox WHERE (claim IS NULL OR due_at <= ",
        lite_now!(),
        ") AND (task_id = $1 OR ($1 IS NULL AND error IS NOT NULL)) RETURNING task_id"
    ),
};

/// The statements that make a table, as a person puts them into a migration.
pub(super) fn script(make: &[&str]) -> String {
    make.iter().map(|statement| format!("{statement};\n")).collect::<Vec<_>>().join("\n")
}
