//! Many futures of one kind at once, in boxes that are used again.
//!
//! A future of more than a kilobyte is more than an allocator hands out from its quick store. Where
//! one is made per task, a box that has become free serves the next.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::ReusableBoxFuture;

/// A future in a box that [`InFlight::release`] takes back.
pub(crate) type Boxed<T> = ReusableBoxFuture<'static, T>;

/// So many empty boxes are kept at most.
const MOST_FREE: usize = 256;

/// Futures under way, and the boxes of those that have ended.
pub(crate) struct InFlight<T> {
    under_way: FuturesUnordered<Lent<T>>,
    free: Vec<Boxed<T>>,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self { under_way: FuturesUnordered::new(), free: Vec::new() }
    }
}

impl<T> InFlight<T> {
    /// Puts a future into a box, a free one if there is one. It is not under way yet.
    pub(crate) fn hold(&mut self, future: impl Future<Output = T> + Send + 'static) -> Boxed<T> {
        match self.free.pop() {
            Some(mut boxed) => {
                boxed.set(future);
                boxed
            }
            None => Boxed::new(future),
        }
    }

    /// Takes back the box of a future that has ended.
    pub(crate) fn release(&mut self, boxed: Boxed<T>) {
        if self.free.len() < MOST_FREE {
            self.free.push(boxed);
        }
    }

    /// From now on [`next`](Self::next) drives this future.
    pub(crate) fn push(&self, boxed: Boxed<T>) {
        self.under_way.push(Lent(Some(boxed)));
    }

    /// What the next future that ends returns; `None` when none is under way. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        let (output, boxed) = self.under_way.next().await?;
        self.release(boxed);
        Some(output)
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether none is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// A box that comes back with what its future returned.
struct Lent<T>(Option<Boxed<T>>);

impl<T> Future for Lent<T> {
    type Output = (T, Boxed<T>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut boxed) = self.0.take() else { return Poll::Pending };
        match boxed.poll(cx) {
            Poll::Ready(output) => Poll::Ready((output, boxed)),
            Poll::Pending => {
                self.0 = Some(boxed);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_ends_first_comes_first_and_its_box_serves_the_next() {
        let mut in_flight = InFlight::default();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let (answer, answered) = oneshot::channel::<u32>();
            let boxed = in_flight.hold(async { answered.await.unwrap() });
            in_flight.push(boxed);
            answers.push(answer);
        }
        for (value, answer) in answers.into_iter().enumerate().rev() {
            answer.send(value.try_into().unwrap()).unwrap();
            assert_eq!(in_flight.next().await, Some(value.try_into().unwrap()));
            assert_eq!(in_flight.len(), value);
        }
        assert_eq!((in_flight.next().await, in_flight.free.len()), (None, 3));
        let boxed = in_flight.hold(std::future::ready(7));
        assert_eq!(in_flight.free.len(), 2);
        in_flight.push(boxed);
        assert_eq!(in_flight.next().await, Some(7));
        assert!(in_flight.is_empty());
    }
}
