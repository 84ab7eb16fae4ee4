//! What has to exist in the broker for messages to wait: our ladder, and Celery's.

use super::{
    Binding, Destination, Exchange, ExchangeKind, Queue, QueueKind, Settings, Topology, delay,
    names,
};
use crate::protocol::HeaderValue::{Int, Text};

impl Topology {
    /// The delay ladder, whole. See [`delay`] for how a message goes through it.
    ///
    /// Quorum levels lose nothing when the broker is killed, because they dead-letter at least
    /// once and never drop. What leaves the ladder and finds its queue gone goes to the archive.
    pub fn ladder(settings: &Settings) -> Self {
        let exit = Exchange::new(names::DELAY_EXIT, ExchangeKind::Direct)
            .with_alternate(names::dead_arrival(&settings.dead.exchange));
        let mut ladder = Self { exchanges: vec![exit], ..Self::default() };
        for level in 0..delay::LEVELS {
            ladder.add_level(level, settings.delay.queue_type);
        }
        ladder.exchanges.push(Exchange::new(names::DELAY_READY, ExchangeKind::Fanout));
        ladder
    }

    /// The ladder that Celery's producers use for countdowns, and its way to `queues`.
    ///
    /// Celery's workers declare it and its producers expect it, so it is needed where Celery's
    /// producers meet our workers alone. Everything is exactly as Celery declares it.
    pub fn celery_ladder(settings: &Settings, queues: &[String]) -> Self {
        let exit = Exchange::new(names::CELERY_DELAY_EXIT, ExchangeKind::Topic);
        let mut ladder = Self { exchanges: vec![exit], ..Self::default() };
        for level in 0..names::CELERY_LEVELS {
            ladder.add_celery_level(level, settings.delay.queue_type);
        }
        ladder.and(Self::celery_ends(queues))
    }

    /// The way from the end of Celery's ladder, where there is one, to `queues`.
    pub fn celery_ends(queues: &[String]) -> Self {
        let ends = queues.iter().map(|queue| {
            // The digits of the delay come first.
            Binding::to_queue(names::CELERY_DELAY_EXIT, queue, format!("#.{queue}"))
        });
        Self { bindings: ends.collect(), ..Self::default() }
    }

    /// The way from the exit of the ladder to one destination.
    pub fn exit(destination: &Destination) -> Self {
        let key = destination.exit_key();
        let binding = match &destination.queue {
            Some(queue) => Binding::to_queue(names::DELAY_EXIT, queue, key),
            None => Binding::to_exchange(names::DELAY_EXIT, &destination.route.exchange, key),
        };
        Self { bindings: vec![binding], ..Self::default() }
    }

    fn add_level(&mut self, level: u32, kind: QueueKind) {
        let (name, entry) = (names::delay_level(level), names::delay_entry(level));
        let wait = delay::level_wait(level).as_millis();
        // Whoever publishes by the exchange and key that a message came with (Celery's workers do, to
        // retry) comes out at the same place.
        let exchange = Exchange::new(&name, ExchangeKind::Direct);
        self.exchanges.push(exchange.with_alternate(names::DELAY_EXIT));
        self.exchanges.push(Exchange::new(&entry, ExchangeKind::Fanout));
        self.queues.push(waiting_queue(&name, wait, &name, kind));
        self.bindings.push(Binding::to_queue(&entry, &name, ""));
        let leave = names::delay_leave(level);
        self.bindings.push(Binding::to_exchange(&name, names::DELAY_EXIT, leave));
        self.bindings.extend((0..level).map(|lower| {
            let hop = names::delay_hop(level, lower);
            Binding::to_queue(&name, names::delay_level(lower), hop)
        }));
    }

    fn add_celery_level(&mut self, level: u32, kind: QueueKind) {
        let name = names::celery_delay_level(level);
        let next = match level.checked_sub(1) {
            Some(lower) => names::celery_delay_level(lower),
            None => names::CELERY_DELAY_EXIT.to_owned(),
        };
        let wait = u128::from(1000_u64 << level);
        self.exchanges.push(Exchange::new(&name, ExchangeKind::Topic));
        let mut queue = waiting_queue(&name, wait, &next, kind);
        queue.arguments.insert("x-overflow".into(), Text("reject-publish".into()));
        self.queues.push(queue);
        // The key is 28 binary digits, one word each, the highest first.
        let skipped = "*.".repeat((names::CELERY_LEVELS - 1 - level) as usize);
        self.bindings.push(Binding::to_queue(&name, &name, format!("{skipped}1.#")));
        self.bindings.push(Binding::to_exchange(&name, next, format!("{skipped}0.#")));
    }
}

/// A queue without consumers, which everything leaves after `wait` milliseconds.
fn waiting_queue(name: &str, wait: u128, next: &str, kind: QueueKind) -> Queue {
    let wait = i64::try_from(wait).expect("the highest level is 2.7e11 ms");
    let mut queue = Queue::new(
        name,
        [("x-message-ttl", Int(wait)), ("x-dead-letter-exchange", Text(next.to_owned()))],
    );
    if kind == QueueKind::Quorum {
        queue.arguments.extend(super::work::safe_dead_lettering());
    }
    queue
}

#[cfg(test)]
mod tests {
    use super::super::Endpoint;
    use super::*;
    use crate::topology::{Delay, Destination};
    use proptest::prelude::*;
    use std::time::Duration;

    /// The queues a message visits, as the broker's exchanges would route it.
    fn walk(ladder: &Topology, delay: &Delay, keys: &[String]) -> Vec<String> {
        let mut visited = Vec::new();
        let mut exchange = delay.entry();
        while exchange != names::DELAY_EXIT {
            let fanout = exchange.starts_with("celeriac.delay.in.");
            let binding = ladder
                .bindings
                .iter()
                .filter(|binding| binding.source == exchange)
                .filter(|binding| fanout || keys.contains(&binding.routing_key))
                .collect::<Vec<_>>();
            assert_eq!(binding.len(), 1, "one way on from {exchange}");
            exchange = binding[0].destination.name().to_owned();
            if let Endpoint::Queue(queue) = &binding[0].destination {
                visited.push(queue.clone());
            }
        }
        visited
    }

    proptest! {
        #[test]
        fn a_message_visits_its_levels_and_comes_out(steps in 1_u32..) {
            let ladder = Topology::ladder(&Settings::default());
            let delay = Delay::new(delay::STEP * steps).unwrap().unwrap();
            let mut keys = delay.bcc(&Destination::queue("celeriac", "mail"));
            keys.push("mail".to_owned());
            let expected: Vec<_> = delay.levels().into_iter().map(names::delay_level).collect();
            prop_assert_eq!(walk(&ladder, &delay, &keys), expected);
        }
    }

    #[test]
    fn every_level_holds_twice_as_long_as_the_one_below() {
        let ladder = Topology::ladder(&Settings::default());
        let wait = |level: u32| match &ladder.queues[level as usize].arguments["x-message-ttl"] {
            Int(millis) => Duration::from_millis(millis.unsigned_abs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(0), delay::STEP);
        (1..32).for_each(|level| assert_eq!(wait(level), wait(level - 1) * 2));
    }

    #[test]
    fn the_celery_ladder_is_what_celery_declares() {
        let ladder = Topology::celery_ladder(&Settings::default(), &["mail".to_owned()]);
        let queue = ladder.queues.iter().find(|queue| queue.name == "celery_delayed_3").unwrap();
        assert_eq!(queue.arguments["x-message-ttl"], Int(8_000));
        assert_eq!(queue.arguments["x-dead-letter-exchange"], Text("celery_delayed_2".into()));
        assert_eq!(queue.arguments.len(), 5);
        let keys: Vec<_> = ladder.bindings.iter().map(|binding| &binding.routing_key).collect();
        assert!(keys.contains(&&"1.#".to_owned()));
        assert!(keys.contains(&&"#.mail".to_owned()));
        assert!(keys.contains(&&format!("{}0.#", "*.".repeat(27))));
    }
}
