//! Chords in Redis, in the keys of Celery 5.7, so that its workers and ours join one chord together.
//!
//! With `G` for `celery-taskset-meta-GROUP`:
//!
//! | key | holds |
//! | --- | --- |
//! | `G.s` | how many members were sent |
//! | `G.t` | how many more were added, by Celery's `add_to_chord` |
//! | `G.j` | the members that arrived, sorted by their place in the header |
//! | `G.d` | which of them were counted, so that none is counted twice |
//! | `G.c` | the claim of the worker that sends the body; then `done` |
//! | `G` | the header's result tuple, if Celery sent it and it holds groups |
//!
//! Celery of 5.4 knows neither `G.d` nor `G.c`: in a chord that it takes part in, a member that is
//! delivered twice can count twice. Its option `result_chord_ordered = False` keeps a list in `G.j`
//! and cannot be shared.

use super::{Redis, key, read, unreadable};
use crate::ids::TaskId;
use crate::protocol::{Member, StoredResult};
use crate::results::layout::Layout;
use crate::results::{
    Arrival, Arrived, ChordStore, Claim, Document, Joined, NewChord, Part, StoreError,
};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::time::Duration;

/// How long a claim holds: what Celery gives itself to publish the body.
const CLAIM: Duration = Duration::from_secs(21);

/// How long it is remembered that a chord is done.
const REMEMBER: Duration = Duration::from_secs(300);

const BEGIN: &str = "
local function set(key, value)
    if ARGV[2] == '0' then redis.call('SET', key, value)
    else redis.call('SET', key, value, 'PX', ARGV[2]) end
end
redis.call('DEL', KEYS[6])
set(KEYS[3], ARGV[1])
return 0
";

const ARRIVE: &str = "
if redis.call('GET', KEYS[6]) == 'done' then return {'done', 0} end
local entry = ARGV[1] .. ':' .. ARGV[3]
if redis.call('SADD', KEYS[4], entry) == 1 then
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
end
if ARGV[4] ~= '0' then
    for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
local sent = redis.call('GET', KEYS[3])
local added = redis.call('GET', KEYS[2]) or 0
if not sent or redis.call('ZCARD', KEYS[1]) < tonumber(sent) + tonumber(added) then
    return {'waiting', 0}
end
if redis.call('SET', KEYS[6], ARGV[5], 'NX', 'PX', ARGV[6]) then return {'complete', 0} end
return {'claimed', redis.call('PTTL', KEYS[6])}
";

const RENEW: &str = "
local holder = redis.call('GET', KEYS[6])
if holder == ARGV[1] or (not holder and redis.call('EXISTS', KEYS[3]) == 1) then
    redis.call('SET', KEYS[6], ARGV[1], 'PX', ARGV[2])
    return 1
end
return 0
";

const FINISH: &str = "
local holder = redis.call('GET', KEYS[6])
if holder == ARGV[1] or not holder then
    redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
    redis.call('SET', KEYS[6], 'done', 'PX', ARGV[2])
end
return 0
";

impl ChordStore for Redis {
    fn begin<'a>(&'a self, chord: &'a NewChord) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let members = chord.members.to_string();
            let arguments = [members.as_bytes(), &expires(self)];
            self.server.run(BEGIN, &keys(&chord.group_id), &arguments).await
        })
    }

    fn arrive<'a>(&'a self, arrival: Arrival<'a>) -> BoxFuture<'a, Result<Arrived, StoreError>> {
        Box::pin(async move {
            let member = member(&arrival)?;
            let encoded =
                member.encode().map_err(|error| StoreError::permanent(error.to_string()))?;
            let token = TaskId::random().to_string();
            let score = arrival.position.map_or_else(|| "+inf".to_owned(), |at| at.to_string());
            let arguments: [&[u8]; 6] = [
                member.task_id.as_str().as_bytes(),
                &encoded,
                score.as_bytes(),
                &expires(self),
                token.as_bytes(),
                &millis(CLAIM),
            ];
            let keys = keys(arrival.group_id);
            let (what, lapses): (String, i64) = self.server.run(ARRIVE, &keys, &arguments).await?;
            Ok(match what.as_str() {
                "waiting" => Arrived::Waiting,
                "done" => Arrived::Done,
                "claimed" => Arrived::Claimed {
                    lapses: Duration::from_millis(u64::try_from(lapses).unwrap_or(0)),
                },
                _ => {
                    let claim = Claim { group_id: arrival.group_id.to_owned(), token };
                    let parts = self.parts(&keys).await?;
                    Arrived::Complete(Joined { claim, parts })
                }
            })
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let arguments: [&[u8]; 2] = [claim.token.as_bytes(), &millis(CLAIM)];
            self.server.run(RENEW, &keys(&claim.group_id), &arguments).await
        })
    }

    fn finish<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let arguments: [&[u8]; 2] = [claim.token.as_bytes(), &millis(REMEMBER)];
            self.server.run(FINISH, &keys(&claim.group_id), &arguments).await
        })
    }
}

impl Redis {
    /// What all members of a complete chord returned, in the order of the header.
    async fn parts(&self, keys: &[String]) -> Result<Vec<Part>, StoreError> {
        let mut range = redis::cmd("ZRANGE");
        range.arg(&keys[0]).arg(0).arg(-1);
        let arrived: Vec<Vec<u8>> = self.server.ask(&range).await?;
        let members: Result<Vec<Member>, _> = arrived.into_iter().map(Member::decode).collect();
        let members = members.map_err(|error| unreadable(&keys[0], &error))?;
        let mut get = redis::cmd("GET");
        get.arg(&keys[4]);
        let layout: Option<Vec<u8>> = self.server.ask(&get).await?;
        let Some(layout) = layout else {
            return Ok(members.into_iter().map(Part::Task).collect());
        };
        let layout = Layout::read(layout).map_err(|error| unreadable(&keys[4], &error))?;
        let mut known: HashMap<TaskId, Member> =
            members.into_iter().map(|member| (member.task_id.clone(), member)).collect();
        for id in layout.missing(&known) {
            let member = self.member(&id).await?;
            known.insert(id, member);
        }
        Ok(layout.join(&known))
    }

    /// A member that another one arrived for, by its own result.
    async fn member(&self, id: &TaskId) -> Result<Member, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(key(id));
        let bytes: Option<Vec<u8>> = self.server.ask(&get).await?;
        let result = bytes.map(|bytes| read(&key(id), bytes));
        let gone = || StoreError::permanent(format!("Redis holds no result of member {id}"));
        result.as_ref().map(Member::from).ok_or_else(gone)
    }
}

/// A member that arrives, with its result.
fn member(arrival: &Arrival<'_>) -> Result<Member, StoreError> {
    let Document { task_id, format, body, .. } = arrival.document;
    let read = StoredResult::decode(*format, body.clone());
    read.as_ref().map(Member::from).map_err(|error| {
        StoreError::permanent(format!("no result of chord member {task_id}: {error}"))
    })
}

/// The keys of a chord: j, t, s, d, the header's, c. The order is that of Celery's script.
fn keys(group: &str) -> Vec<String> {
    let base = format!("celery-taskset-meta-{group}");
    [".j", ".t", ".s", ".d", "", ".c"].iter().map(|end| format!("{base}{end}")).collect()
}

fn expires(redis: &Redis) -> Vec<u8> {
    redis.expires().into_bytes()
}

fn millis(wait: Duration) -> Vec<u8> {
    wait.as_millis().to_string().into_bytes()
}
