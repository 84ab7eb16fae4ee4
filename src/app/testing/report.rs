//! What ran, and how it ended.

use crate::task::Task;
use crate::worker::{Ending, Journal, Run};
use std::fmt;

/// What all test workers of an app have done since it was made. It goes on growing while they work:
/// keep it and ask it again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// # let app = App::in_memory();
/// let worker = TestWorker::new(&app).register::<add>();
/// let report = worker.report();
/// add(1, 2).send(&app).await?;
/// assert!(report.runs().is_empty());
/// worker.drain().await;
/// assert_eq!(report.runs().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Report {
    pub(super) journal: Journal,
}

/// What was done with the calls of one task.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// # use std::time::Duration;
/// #[task(name = "mail.digest", max_retries = 5, backoff = "1m")]
/// async fn digest(ctx: Ctx) -> anyhow::Result<()> {
///     anyhow::ensure!(ctx.attempt() == 3, "the mail server is busy");
///     Ok(())
/// }
///
/// # let app = App::in_memory();
/// digest().send(&app).await?;
/// let worker = TestWorker::new(&app).register::<digest>();
/// let runs = worker.advance(Duration::from_secs(3600)).await.of::<digest>();
/// assert_eq!((runs.attempts(), runs.retried(), runs.succeeded()), (3, 2, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRuns {
    runs: Vec<Run>,
}

impl Report {
    /// Everything, in the order in which it ended.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { anyhow::ensure!(user > 0); Ok(()) }
    /// # let app = App::in_memory();
    /// add(1, 2).send(&app).await?;
    /// welcome(42).send(&app).await?;
    /// let worker = TestWorker::new(&app).register::<add>().register::<welcome>();
    /// let runs = worker.drain().await.runs();
    /// let names: Vec<_> = runs.iter().map(|run| run.task.as_str()).collect();
    /// assert_eq!(names, ["shop.add", "mail.welcome"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn runs(&self) -> Vec<Run> {
        self.journal.runs()
    }

    /// What was done with the calls of the task of this name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// app.client().send("shop.add", &(1, 2), &(), SendOptions::default()).await?;
    /// let report = worker.drain().await;
    /// assert_eq!(report.of_named("shop.add").succeeded(), 1);
    /// assert_eq!(report.of_named("shop.subtract").attempts(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_named(&self, task: &str) -> TaskRuns {
        let runs = self.runs().into_iter().filter(|run| run.task == task);
        TaskRuns { runs: runs.collect() }
    }

    /// What was done with the calls of a task that the compiler knows.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// add(1, 2).send(&app).await?;
    /// add(3, 4).send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<add>().succeeded(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn of<T: Task>(&self) -> TaskRuns {
        self.of_named(T::NAME)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.runs()).finish()
    }
}

impl TaskRuns {
    /// Everything, in the order in which it ended.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<add>();
    /// add(1, 2).send(&app).await?;
    /// let runs = worker.drain().await.of::<add>();
    /// assert_eq!(runs.runs()[0].queue, "default");
    /// assert_eq!(runs.runs()[0].at, app.virtual_clock().now());
    /// # use celeriac::clock::Clock;
    /// # Ok(())
    /// # }
    /// ```
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How each attempt ended, and what was done where none was begun.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # use std::time::Duration;
    /// use celeriac::worker::Ending;
    ///
    /// #[task(name = "mail.digest", max_retries = 1, backoff = "1m")]
    /// async fn digest() -> anyhow::Result<()> {
    ///     anyhow::bail!("the mail server is busy")
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<digest>();
    /// digest().send(&app).await?;
    /// let runs = worker.advance(Duration::from_secs(120)).await.of::<digest>();
    /// assert!(matches!(runs.endings()[..], [Ending::Retried { .. }, Ending::Archived { .. }]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn endings(&self) -> Vec<&Ending> {
        self.runs.iter().map(|run| &run.ending).collect()
    }

    /// How often a handler was begun.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # use std::time::Duration;
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// static IS_THERE: AtomicBool = AtomicBool::new(false);
    /// #[task(name = "shop.poll")]
    /// async fn poll(ctx: Ctx) -> anyhow::Result<()> {
    ///     match IS_THERE.swap(true, Ordering::SeqCst) {
    ///         true => Ok(()),
    ///         false => ctx.snooze(Duration::from_secs(30)),
    ///     }
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<poll>();
    /// poll().send(&app).await?;
    /// let runs = worker.advance(Duration::from_secs(30)).await.of::<poll>();
    /// assert_eq!((runs.attempts(), runs.retried()), (2, 0)); // it was begun twice
    /// # Ok(())
    /// # }
    /// ```
    pub fn attempts(&self) -> usize {
        self.runs.iter().filter(|run| run.took.is_some()).count()
    }

    /// How many calls returned a value.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// #[task(name = "shop.half", max_retries = 0)]
    /// async fn half(n: u64) -> anyhow::Result<u64> {
    ///     anyhow::ensure!(n.is_multiple_of(2), "{n} is odd");
    ///     Ok(n / 2)
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<half>();
    /// for n in 0..5 {
    ///     half(n).send(&app).await?;
    /// }
    /// assert_eq!(worker.drain().await.of::<half>().succeeded(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn succeeded(&self) -> usize {
        self.count(|ending| matches!(ending, Ending::Succeeded))
    }

    /// How many attempts failed and are tried again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// # use std::time::Duration;
    /// #[task(name = "mail.digest", max_retries = 5, backoff = "1m")]
    /// async fn digest() -> anyhow::Result<()> {
    ///     anyhow::bail!("the mail server is busy")
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<digest>();
    /// digest().send(&app).await?;
    /// let report = worker.drain().await;
    /// assert_eq!(report.of::<digest>().retried(), 1);
    /// worker.advance(Duration::from_secs(150)).await;
    /// assert_eq!(report.of::<digest>().retried(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retried(&self) -> usize {
        self.count(|ending| matches!(ending, Ending::Retried { .. }))
    }

    /// How many calls were given up and are in the archive, or were discarded by the task itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::prelude::*;
    /// # use celeriac::testing::TestWorker;
    /// #[task(name = "mail.welcome")]
    /// async fn welcome(user: u64) -> anyhow::Result<()> {
    ///     if user == 0 {
    ///         return Err(Discard::because("no such user").into());
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # let app = App::in_memory();
    /// # let worker = TestWorker::new(&app).register::<welcome>();
    /// welcome(0).send(&app).await?;
    /// assert_eq!(worker.drain().await.of::<welcome>().given_up(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn given_up(&self) -> usize {
        self.count(|ending| matches!(ending, Ending::Archived { .. } | Ending::Discarded(_)))
    }

    fn count(&self, fits: impl Fn(&Ending) -> bool) -> usize {
        self.runs.iter().filter(|run| fits(&run.ending)).count()
    }
}
