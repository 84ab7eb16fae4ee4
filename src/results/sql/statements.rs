//! What is said to each database.

/// The statements of one database.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) kind: Kind,
    /// Makes the tables, one after the other.
    pub(super) make: &'static [&'static str],
    /// id, state, document, packed, milliseconds until it expires. The first `SUCCESS` stays.
    pub(super) store: &'static str,
    /// A JSON list of ids -> id, document, packed.
    pub(super) find: &'static str,
    /// Each removes a batch of what has expired, and returns a row for each.
    pub(super) purge: &'static [&'static str],
    /// group, members, milliseconds until it expires.
    pub(super) begin: &'static str,
    /// group, milliseconds until it expires -> whether it is done. Others wait from here on.
    pub(super) hold: &'static str,
    /// group -> how many are still missing (null when it is not known), and the milliseconds that
    /// it is still claimed for.
    pub(super) look: &'static str,
    /// group, token, milliseconds.
    pub(super) claim: &'static str,
    /// group, token, milliseconds -> a row if it was ours or nobody's.
    pub(super) renew: &'static str,
    /// group, token -> a row if it was ours.
    pub(super) finish: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

pub(super) const FORGET: &str = "DELETE FROM celeriac_results WHERE task_id = $1";

/// group, id, position, document, packed -> a row unless it was there.
pub(super) const ARRIVE: &str = "
    INSERT INTO celeriac_chord_members (group_id, task_id, position, document, packed)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (group_id, task_id) DO NOTHING RETURNING task_id";

/// group, how many.
pub(super) const COUNT: &str =
    "UPDATE celeriac_chords SET arrived = arrived + $2 WHERE group_id = $1";

/// group -> document, packed of each member, in the order of the header.
pub(super) const MEMBERS: &str = "
    SELECT document, packed FROM celeriac_chord_members WHERE group_id = $1
    ORDER BY position IS NULL, position, task_id";

/// group.
pub(super) const DROP_MEMBERS: &str = "DELETE FROM celeriac_chord_members WHERE group_id = $1";

/// The channel on which PostgreSQL tells the id of each task whose result was stored.
#[cfg(feature = "postgres")]
pub(super) const CHANNEL: &str = "celeriac_results";

#[cfg(feature = "postgres")]
pub(super) static POSTGRES: Statements = Statements {
    kind: Kind::Postgres,
    make: &[
        // Two that make a table at once get in each other's way, even with IF NOT EXISTS.
        "SELECT pg_advisory_xact_lock(hashtext('celeriac_results'))",
        "CREATE TABLE IF NOT EXISTS celeriac_results (
            task_id text PRIMARY KEY,
            state text NOT NULL,
            document text,
            packed bytea,
            stored_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz
        )",
        "CREATE INDEX IF NOT EXISTS celeriac_results_expires_at
            ON celeriac_results (expires_at)",
        "CREATE TABLE IF NOT EXISTS celeriac_chords (
            group_id text PRIMARY KEY,
            members bigint,
            arrived bigint NOT NULL DEFAULT 0,
            claimed_by text,
            claimed_until timestamptz,
            done boolean NOT NULL DEFAULT false,
            expires_at timestamptz
        )",
        "CREATE INDEX IF NOT EXISTS celeriac_chords_expires_at ON celeriac_chords (expires_at)",
        "CREATE TABLE IF NOT EXISTS celeriac_chord_members (
            group_id text NOT NULL REFERENCES celeriac_chords ON DELETE CASCADE,
            task_id text NOT NULL,
            position bigint,
            document text,
            packed bytea,
            PRIMARY KEY (group_id, task_id)
        )",
    ],
    store: "
        WITH stored AS (
            INSERT INTO celeriac_results AS known (task_id, state, document, packed, expires_at)
            VALUES ($1, $2, $3, $4, now() + $5::bigint * interval '1 millisecond')
            ON CONFLICT (task_id) DO UPDATE SET
                state = excluded.state, document = excluded.document, packed = excluded.packed,
                stored_at = excluded.stored_at, expires_at = excluded.expires_at
            WHERE known.state <> 'SUCCESS' OR known.expires_at <= now()
            RETURNING task_id
        )
        SELECT pg_notify('celeriac_results', task_id)::text FROM stored",
    find: "
        SELECT task_id, document, packed FROM celeriac_results
        WHERE task_id IN (SELECT json_array_elements_text($1::json))
        AND (expires_at IS NULL OR expires_at > now())",
    purge: &[
        "DELETE FROM celeriac_results WHERE task_id IN (
            SELECT task_id FROM celeriac_results WHERE expires_at <= now()
            LIMIT 500 FOR UPDATE SKIP LOCKED
        ) RETURNING 1",
        "DELETE FROM celeriac_chords WHERE group_id IN (
            SELECT group_id FROM celeriac_chords WHERE expires_at <= now()
            LIMIT 50 FOR UPDATE SKIP LOCKED
        ) RETURNING 1",
    ],
    begin: "
        INSERT INTO celeriac_chords (group_id, members, expires_at)
        VALUES ($1, $2, now() + $3::bigint * interval '1 millisecond')
        ON CONFLICT (group_id) DO UPDATE SET
            members = excluded.members, done = false,
            claimed_by = NULL, claimed_until = NULL, expires_at = excluded.expires_at",
    hold: "
        INSERT INTO celeriac_chords (group_id, expires_at)
        VALUES ($1, now() + $2::bigint * interval '1 millisecond')
        ON CONFLICT (group_id) DO UPDATE SET expires_at = excluded.expires_at
        RETURNING done::int::bigint",
    look: "
        SELECT members - arrived,
            ceil(1000 * extract(epoch FROM claimed_until - clock_timestamp()))::bigint
        FROM celeriac_chords WHERE group_id = $1",
    claim: "
        UPDATE celeriac_chords SET claimed_by = $2,
            claimed_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
        WHERE group_id = $1",
    renew: "
        UPDATE celeriac_chords SET claimed_by = $2,
            claimed_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
        WHERE group_id = $1 AND NOT done
        AND (claimed_by = $2 OR claimed_until IS NULL OR claimed_until <= clock_timestamp())
        RETURNING 1",
    finish: "
        UPDATE celeriac_chords SET done = true, arrived = 0,
            claimed_by = NULL, claimed_until = NULL
        WHERE group_id = $1 AND (claimed_by = $2 OR claimed_until <= clock_timestamp())
        RETURNING 1",
};

/// SQLite keeps times as text, which sorts as they do.
#[cfg(feature = "sqlite")]
pub(super) static SQLITE: Statements = Statements {
    kind: Kind::Sqlite,
    make: &[
        "CREATE TABLE IF NOT EXISTS celeriac_results (
            task_id text PRIMARY KEY,
            state text NOT NULL,
            document text,
            packed blob,
            stored_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
            expires_at text
        )",
        "CREATE INDEX IF NOT EXISTS celeriac_results_expires_at
            ON celeriac_results (expires_at)",
        "CREATE TABLE IF NOT EXISTS celeriac_chords (
            group_id text PRIMARY KEY,
            members integer,
            arrived integer NOT NULL DEFAULT 0,
            claimed_by text,
            claimed_until text,
            done integer NOT NULL DEFAULT 0,
            expires_at text
        )",
        "CREATE INDEX IF NOT EXISTS celeriac_chords_expires_at ON celeriac_chords (expires_at)",
        "CREATE TABLE IF NOT EXISTS celeriac_chord_members (
            group_id text NOT NULL REFERENCES celeriac_chords ON DELETE CASCADE,
            task_id text NOT NULL,
            position integer,
            document text,
            packed blob,
            PRIMARY KEY (group_id, task_id)
        )",
    ],
    store: "
        INSERT INTO celeriac_results (task_id, state, document, packed, expires_at)
        VALUES ($1, $2, $3, $4,
            strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ($5 / 1000.0) || ' seconds'))
        ON CONFLICT (task_id) DO UPDATE SET
            state = excluded.state, document = excluded.document, packed = excluded.packed,
            stored_at = excluded.stored_at, expires_at = excluded.expires_at
        WHERE celeriac_results.state <> 'SUCCESS'
        OR celeriac_results.expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    find: "
        SELECT task_id, document, packed FROM celeriac_results
        WHERE task_id IN (SELECT value FROM json_each($1))
        AND (expires_at IS NULL OR expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
    purge: &[
        "DELETE FROM celeriac_results WHERE task_id IN (
            SELECT task_id FROM celeriac_results
            WHERE expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now') LIMIT 500
        ) RETURNING 1",
        "DELETE FROM celeriac_chords WHERE group_id IN (
            SELECT group_id FROM celeriac_chords
            WHERE expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now') LIMIT 50
        ) RETURNING 1",
    ],
    begin: "
        INSERT INTO celeriac_chords (group_id, members, expires_at)
        VALUES ($1, $2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ($3 / 1000.0) || ' seconds'))
        ON CONFLICT (group_id) DO UPDATE SET
            members = excluded.members, done = 0,
            claimed_by = NULL, claimed_until = NULL, expires_at = excluded.expires_at",
    hold: "
        INSERT INTO celeriac_chords (group_id, expires_at)
        VALUES ($1, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ($2 / 1000.0) || ' seconds'))
        ON CONFLICT (group_id) DO UPDATE SET expires_at = excluded.expires_at
        RETURNING done",
    look: "
        SELECT members - arrived,
            CAST(86400000 * (julianday(claimed_until) - julianday('now')) + 1 AS integer)
        FROM celeriac_chords WHERE group_id = $1",
    claim: "
        UPDATE celeriac_chords SET claimed_by = $2,
            claimed_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ($3 / 1000.0) || ' seconds')
        WHERE group_id = $1",
    renew: "
        UPDATE celeriac_chords SET claimed_by = $2,
            claimed_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ($3 / 1000.0) || ' seconds')
        WHERE group_id = $1 AND NOT done
        AND (claimed_by = $2 OR claimed_until IS NULL
            OR claimed_until <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        RETURNING 1",
    finish: "
        UPDATE celeriac_chords SET done = 1, arrived = 0,
            claimed_by = NULL, claimed_until = NULL
        WHERE group_id = $1 AND (claimed_by = $2
            OR claimed_until <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        RETURNING 1",
};
