//! The queue in which the results of a chord's members are gathered.

use super::{Queue, names};
use crate::protocol::HeaderValue::{Bool, Int, Text};
use std::time::Duration;

/// The most that the results of one chord may take together, in bytes: whoever joins it holds all
/// of them, and so does the message that its body is given them by.
pub const CHORD_BYTES: u64 = 64_000_000;

/// The queue of one chord. It is gone when nobody has looked at it for as long as `expires`; zero
/// keeps it for ever.
pub fn chord_queue(group_id: &str, expires: Duration) -> Queue {
    let mut arguments = vec![
        // Whoever joins gets all or nothing.
        ("x-single-active-consumer", Bool(true)),
        ("x-max-length-bytes", Int(CHORD_BYTES.cast_signed())),
        ("x-overflow", Text("reject-publish".to_owned())),
    ];
    if !expires.is_zero() {
        let millis = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
        // The most that RabbitMQ takes is a little more than this: 49 days.
        arguments.push(("x-expires", Int(millis.min(4_200_000_000))));
    }
    Queue::new(names::chord(group_id), arguments)
}
