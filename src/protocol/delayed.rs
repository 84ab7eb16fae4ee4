//! The routing keys of Celery's own delayed messages.

/// Digits in front of the real key, one for each level of Celery's delay topology.
const LEVELS: usize = 28;

/// The key that a task was really sent to.
///
/// Celery puts the delay, as 28 binary digits with a dot after each, in front of the routing key,
/// and the message arrives with all of it. A key without that prefix is returned as it is.
pub fn delayed_routing_key(key: &str) -> &str {
    let Some((prefix, rest)) = key.split_at_checked(2 * LEVELS) else { return key };
    let digits = prefix.as_bytes().as_chunks().0;
    let is_delay = digits.iter().all(|pair| matches!(pair, [b'0' | b'1', b'.']));
    if is_delay { rest } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_delay_is_taken_off() {
        let delay = "0.".repeat(25) + "1.0.1.";
        assert_eq!(delayed_routing_key(&format!("{delay}mail.fast")), "mail.fast");
        assert_eq!(delayed_routing_key(&delay), "");
        for key in ["mail", "", "0.1.mail", &delay[2..], &format!("2.{}mail", &delay[2..])] {
            assert_eq!(delayed_routing_key(key), key);
        }
    }
}
