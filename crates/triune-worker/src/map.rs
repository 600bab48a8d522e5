//! `pool.map(jobs)`: many jobs as one stream of results.
//!
//! The stream itself polls its runs: nothing is spawned, so dropping it kills what runs, and a consumer that does not ask
//! stops the supply. Invariants:
//!
//! 1. At most `in_flight` jobs were taken from the iterator whose results were not given out, so that many results are
//!    held, in either order.
//! 2. The iterator is asked for a job only when there is room for it, and not again after its end.

use std::fmt;
use std::future::poll_fn;
use std::iter::Fuse;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use serde::de::DeserializeOwned;

use crate::error::RunError;
use crate::job::Job;
use crate::pool::PoolCore;
use crate::run::Run;

/// The results of many jobs: a [`Stream`] of `Result<O, RunError>`, made by [`Pool::map`](crate::Pool::map) and
/// [`map`](crate::map).
///
/// By default results come in the order of the jobs, and twice as many jobs are under way as run at a time. Jobs are taken
/// from the iterator, and sent to workers, while the stream is polled: a slow consumer is not flooded, and one that does
/// something else between two results lets workers wait. (Give the results to a child through a
/// [`channel`](triune_scope::sync::channel), if that matters.) A failed job does not end the stream.
///
/// # Cancel safety
///
/// Each job is cancelled as by [`run`](crate::run). Dropping the stream kills the jobs that run; [`next`](Self::next) may be
/// dropped without loss.
#[must_use = "a stream does nothing until it is polled"]
pub struct Map<I, O>
where
    I: Iterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    jobs: Fuse<I>,
    running: Running<O>,
    in_flight: Option<usize>,
    pool: Option<Arc<PoolCore>>,
    #[cfg(feature = "progress")]
    bar: Option<crate::progress::Bar>,
}

enum Running<O: DeserializeOwned + Send + 'static> {
    Ordered(FuturesOrdered<Run<O>>),
    Unordered(FuturesUnordered<Run<O>>),
}

impl<I, O> Map<I, O>
where
    I: Iterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    pub(crate) fn new(jobs: I, pool: Option<Arc<PoolCore>>) -> Self {
        Self {
            jobs: jobs.fuse(),
            running: Running::Ordered(FuturesOrdered::new()),
            in_flight: None,
            pool,
            #[cfg(feature = "progress")]
            bar: None,
        }
    }

    /// Gives the results in the order of the jobs. This is the default. A slow job holds up the results behind it, which
    /// count as under way until they are given out.
    ///
    /// # Panics
    ///
    /// If the stream was polled already.
    pub fn ordered(self) -> Self {
        self.with(Running::Ordered(FuturesOrdered::new()))
    }

    /// Gives each result as soon as it is there.
    ///
    /// # Panics
    ///
    /// If the stream was polled already.
    pub fn unordered(self) -> Self {
        self.with(Running::Unordered(FuturesUnordered::new()))
    }

    fn with(mut self, running: Running<O>) -> Self {
        assert!(self.running.is_empty(), "choose the order of the results before the stream is polled");
        self.running = running;
        self
    }

    /// How many jobs are under way at most: waiting for a place, running, or done with their result not given out. At
    /// least one. Default: twice the total of the pool's limiter.
    pub fn in_flight(mut self, jobs: usize) -> Self {
        self.in_flight = Some(jobs.max(1));
        self
    }

    /// Draws a progress bar on standard error, if that is a terminal, with a total if the iterator knows how many jobs there
    /// are.
    #[cfg(feature = "progress")]
    pub fn progress(mut self) -> Self {
        self.bar = Some(crate::progress::Bar::new(self.jobs.size_hint()));
        self
    }
}

impl<I, O> Map<I, O>
where
    I: Iterator<Item = Job<O>> + Unpin,
    O: DeserializeOwned + Send + 'static,
{
    /// The next result; `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Result<O, RunError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All results, up to the first error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it kills the jobs that run and loses the results.
    ///
    /// # Errors
    ///
    /// The first one that the stream gives; the jobs that still run are killed then.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let roots = scope(Workers::new(), async |pool| {
    ///     Ok(pool.map([1, 4, 9].map(|x| job!(u64::isqrt(x)))).collect().await?)
    /// })
    /// .await?;
    /// assert_eq!(roots, [1, 2, 3]);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn collect(mut self) -> Result<Vec<O>, RunError> {
        let mut results = Vec::with_capacity(self.jobs.size_hint().0.min(1024));
        while let Some(result) = self.next().await {
            results.push(result?);
        }
        Ok(results)
    }

    /// Takes jobs from the iterator while there is room.
    fn fill(&mut self) {
        let room = match self.in_flight {
            Some(room) => room,
            None => {
                let pool = self.pool.get_or_insert_with(crate::ambient::pool);
                let room = pool.statistics().limit.saturating_mul(2).clamp(1, MOST_BY_DEFAULT);
                *self.in_flight.insert(room)
            }
        };
        while self.running.len() < room {
            let Some(job) = self.jobs.next() else { return };
            self.running.push(Run::new(job, self.pool.clone()));
        }
    }
}

/// How many jobs are under way at most where nobody has said, and the limiter has no end.
const MOST_BY_DEFAULT: usize = 1024;

impl<O: DeserializeOwned + Send + 'static> Running<O> {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        match self {
            Self::Ordered(runs) => runs.len(),
            Self::Unordered(runs) => runs.len(),
        }
    }
}

impl<O: DeserializeOwned + Send + 'static> Running<O> {
    fn push(&mut self, run: Run<O>) {
        match self {
            Self::Ordered(runs) => runs.push_back(run),
            Self::Unordered(runs) => runs.push(run),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<O, RunError>>> {
        match self {
            Self::Ordered(runs) => Pin::new(runs).poll_next(cx),
            Self::Unordered(runs) => Pin::new(runs).poll_next(cx),
        }
    }
}

impl<I, O> Stream for Map<I, O>
where
    I: Iterator<Item = Job<O>> + Unpin,
    O: DeserializeOwned + Send + 'static,
{
    type Item = Result<O, RunError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.fill();
        let result = std::task::ready!(self.running.poll_next(cx));
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.advance(result.is_some());
        }
        Poll::Ready(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.jobs.size_hint();
        let running = self.running.len();
        (least.saturating_add(running), most.and_then(|most| most.checked_add(running)))
    }
}

impl<I, O> fmt::Debug for Map<I, O>
where
    I: Iterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("ordered", &matches!(self.running, Running::Ordered(_)))
            .field("under_way", &self.running.len())
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// Runs many jobs in the workers that [`run`](crate::run) would use here, as [`Pool::map`](crate::Pool::map) does in those
/// of one pool.
pub fn map<I, O>(jobs: I) -> Map<I::IntoIter, O>
where
    I: IntoIterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    Map::new(jobs.into_iter(), None)
}
