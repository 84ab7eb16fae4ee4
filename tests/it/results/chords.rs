//! Chords are joined the same in every store.

use super::Store;
use celeriac::protocol::{Format, StoredException, StoredResult, TaskState};
use celeriac::results::{
    Arrival, Arrived, Backend, ChordStore, Claim, Document, Joined, NewChord, ResultBackend,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// A chord `g` in a store.
struct Chord(Arc<dyn ResultBackend>);

impl Chord {
    async fn begin(backend: Backend, members: u64) -> Option<(Self, Store)> {
        let store = Store::start(backend).await?;
        let chord = Self(store.open(DAY));
        chord.chords().begin(&flat(members)).await.unwrap();
        Some((chord, store))
    }

    fn chords(&self) -> &dyn ChordStore {
        self.0.chords().expect("every store joins chords")
    }

    async fn arrive(&self, position: u64) -> Arrived {
        self.bring(position, &succeeded(position)).await
    }

    async fn bring(&self, position: u64, document: &Document) -> Arrived {
        let arrival = Arrival { group_id: "g", position: Some(position), members: None, document };
        self.chords().arrive(arrival).await.unwrap()
    }
}

fn flat(members: u64) -> NewChord {
    NewChord { group_id: "g".to_owned(), members }
}

fn succeeded(position: u64) -> Document {
    let id = format!("m{position}");
    let result = StoredResult::success(id.as_str().into(), position * 10, SystemTime::UNIX_EPOCH);
    let body = result.encode(Format::Json).unwrap().into();
    let (task_id, state) = (id.into(), TaskState::Success);
    Document { task_id, state, reply_to: None, format: Format::Json, body }
}

fn complete(arrived: Arrived) -> Joined {
    match arrived {
        Arrived::Complete(joined) => joined,
        other => panic!("not complete: {other:?}"),
    }
}

fn values(joined: &Joined) -> serde_json::Value {
    serde_json::from_slice(&Format::Json.encode(&joined.parts).unwrap()).unwrap()
}

async fn the_last_member_is_given_all_results_in_order(backend: Backend) {
    let Some((chord, _store)) = Chord::begin(backend, 12).await else { return };
    for position in [11, 3, 7, 0, 10, 1, 2, 4, 9, 6, 5] {
        assert_eq!(chord.arrive(position).await, Arrived::Waiting);
    }
    let joined = complete(chord.arrive(8).await);
    assert_eq!(values(&joined), json!([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]));
    assert!(joined.failed().is_none());
    chord.chords().finish(&joined.claim).await.unwrap();
    assert_eq!(chord.arrive(8).await, Arrived::Done);
}

async fn a_member_that_arrives_twice_counts_once(backend: Backend) {
    let Some((chord, _store)) = Chord::begin(backend, 2).await else { return };
    assert_eq!(chord.arrive(0).await, Arrived::Waiting);
    // It ran again and returned something else.
    let text = String::from_utf8(succeeded(7).body.to_vec()).unwrap().replace("m7", "m0");
    let again = Document { body: text.into(), ..succeeded(0) };
    for _ in 0..2 {
        assert_eq!(chord.bring(0, &again).await, Arrived::Waiting);
    }
    let joined = complete(chord.arrive(1).await);
    assert_eq!(values(&joined), json!([0, 10]));
}

async fn a_claim_keeps_others_away_until_it_is_finished(backend: Backend) {
    let Some((chord, _store)) = Chord::begin(backend, 1).await else { return };
    let joined = complete(chord.arrive(0).await);
    let Arrived::Claimed { lapses } = chord.arrive(0).await else { panic!("not claimed") };
    assert!(lapses > Duration::ZERO && lapses <= Duration::from_secs(22), "{lapses:?}");
    assert!(chord.chords().renew(&joined.claim).await.unwrap());
    let foreign = Claim { token: "another".to_owned(), ..joined.claim.clone() };
    assert!(!chord.chords().renew(&foreign).await.unwrap());
    chord.chords().finish(&foreign).await.unwrap();
    assert!(matches!(chord.arrive(0).await, Arrived::Claimed { .. }));
    chord.chords().finish(&joined.claim).await.unwrap();
    assert_eq!(chord.arrive(0).await, Arrived::Done);
    assert!(!chord.chords().renew(&joined.claim).await.unwrap());
}

async fn members_may_come_before_the_number_is_known(backend: Backend) {
    let Some(store) = Store::start(backend).await else { return };
    let chord = Chord(store.open(DAY));
    assert_eq!(chord.arrive(0).await, Arrived::Waiting);
    chord.chords().begin(&flat(3)).await.unwrap();
    assert_eq!(chord.arrive(1).await, Arrived::Waiting);
    assert_eq!(values(&complete(chord.arrive(2).await)), json!([0, 10, 20]));
}

async fn a_member_that_failed_is_found(backend: Backend) {
    let Some((chord, _store)) = Chord::begin(backend, 2).await else { return };
    assert_eq!(chord.arrive(0).await, Arrived::Waiting);
    let exception = StoredException::new("ValueError", "no", Some("builtins"));
    let failure = StoredResult::failure("m1".into(), exception, None, SystemTime::UNIX_EPOCH);
    let body = failure.encode(Format::Json).unwrap().into();
    let document = Document { state: TaskState::Failure, body, ..succeeded(1) };
    let joined = complete(chord.bring(1, &document).await);
    let failed = joined.failed().unwrap();
    assert_eq!((failed.task_id.as_str(), &failed.state), ("m1", &TaskState::Failure));
    assert_eq!(failed.result.decode::<StoredException>().unwrap().text(), "no");
}

/// Celery's `add_to_chord`, and its header of groups: only in Redis, where both join one chord.
#[tokio::test]
async fn what_celery_says_of_a_chord_in_redis_holds() {
    let Some((chord, store)) = Chord::begin(Backend::Redis, 2).await else { return };
    let client = ::redis::Client::open(store.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let header = r#"{"result": [["g", null], [[["h", null], [[["m0", null], null],
        [["m1", null], null]]], [["m2", null], null]]]}"#;
    let () = ::redis::pipe()
        .set("celery-taskset-meta-g", header)
        .incr("celery-taskset-meta-g.t", 1)
        .query_async(&mut connection)
        .await
        .unwrap();
    for position in [2, 0] {
        assert_eq!(chord.arrive(position).await, Arrived::Waiting);
    }
    assert_eq!(values(&complete(chord.arrive(1).await)), json!([[0, 10], 20]));
}

async fn a_thousand_members_at_once_complete_it_exactly_once(backend: Backend) {
    let Some((chord, store)) = Chord::begin(backend, 1000).await else { return };
    // Twice each, from two programs.
    let other = Chord(store.open(DAY));
    let arrivals = (0..2000_u64).map(|n| {
        let chord = if n % 2 == 0 { &chord } else { &other };
        chord.arrive(n / 2)
    });
    let arrived: Vec<_> = futures::stream::iter(arrivals).buffer_unordered(50).collect().await;
    let complete: Vec<_> =
        arrived.iter().filter(|arrived| matches!(arrived, Arrived::Complete(_))).collect();
    assert_eq!(complete.len(), 1);
    let Arrived::Complete(joined) = complete[0] else { unreachable!() };
    assert_eq!(joined.parts.len(), 1000);
}

async fn two_chords_do_not_know_each_other(backend: Backend) {
    let Some((chord, _store)) = Chord::begin(backend, 1).await else { return };
    let others = (0..20).map(|n| {
        let chord = &chord;
        async move {
            let group_id = format!("other-{n}");
            let new = NewChord { group_id: group_id.clone(), members: 1 };
            chord.chords().begin(&new).await.unwrap();
            let document = succeeded(n);
            let arrival =
                Arrival { group_id: &group_id, position: None, members: None, document: &document };
            values(&complete(chord.chords().arrive(arrival).await.unwrap()))
        }
    });
    let joined: Vec<_> = others.collect::<FuturesUnordered<_>>().collect().await;
    assert_eq!(joined.len(), 20);
    assert_eq!(values(&complete(chord.arrive(0).await)), json!([0]));
}

macro_rules! suite {
    ($($rule:ident)*) => {
        mod redis { $(
            #[tokio::test]
            async fn $rule() { super::$rule(celeriac::results::Backend::Redis).await; }
        )* }
        mod postgres { $(
            #[tokio::test]
            async fn $rule() { super::$rule(celeriac::results::Backend::Postgres).await; }
        )* }
        mod sqlite { $(
            #[tokio::test]
            async fn $rule() { super::$rule(celeriac::results::Backend::Sqlite).await; }
        )* }
    };
}

suite! {
    the_last_member_is_given_all_results_in_order
    a_member_that_arrives_twice_counts_once
    a_claim_keeps_others_away_until_it_is_finished
    members_may_come_before_the_number_is_known
    a_member_that_failed_is_found
    a_thousand_members_at_once_complete_it_exactly_once
    two_chords_do_not_know_each_other
}
