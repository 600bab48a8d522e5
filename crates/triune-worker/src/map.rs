//! `pool.map(jobs)`: many jobs as one stream of results.
//!
//! The stream itself polls its runs: nothing is spawned, so dropping it kills what runs, and a consumer that does not ask
//! stops the supply. Invariants:
//!
//! 1. At most `in_flight` jobs were taken from the iterator whose results were not given out, so that many results are
//!    held, in either order.
//! 2. The iterator is asked for a job only when there is room for it, and not again after its end.
//! 3. A batch is as large as the ones before were quick, and never so large that a worker is left without one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::iter::Fuse;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep};

use crate::batch::{self, Ended, Item, Pace};
use crate::error::RunError;
use crate::job::Job;
use crate::pool::PoolCore;
use crate::results::{Place, Results};
use crate::run::Run;
use crate::slate::LOOK;

/// The results of many jobs: a [`Stream`] of `Result<O, RunError>`, made by [`Pool::map`](crate::Pool::map) and
/// [`map`](crate::map).
///
/// By default results come in the order of the jobs, and twice as many jobs, or [batches](Self::batch) of quick ones, are under
/// way as run at a time. Jobs are taken from the iterator, and sent to workers, while the stream is polled: a slow consumer is
/// not flooded, and one that does something else between two results lets workers wait. (Give the results to a child
/// through a [`channel`](triune_scope::sync::channel), if that matters.) A failed job does not end the stream.
///
/// # Cancel safety
///
/// All jobs are cancelled together, as by [`run`](crate::run). Dropping the stream kills the jobs that run;
/// [`next`](Self::next) may be dropped without loss.
///
/// ```
/// use triune_worker::{job, map};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let mut roots = map((0..100).map(|x| job!(u64::isqrt(x)))).ordered().in_flight(10).batch(4);
/// let mut sum = 0;
/// while let Some(root) = roots.next().await {
///     sum += root?;
/// }
/// assert_eq!(sum, 615);
/// # Ok(()) })
/// # }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Map<I, O>
where
    I: Iterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    jobs: Fuse<I>,
    results: Results<O>,
    /// Jobs that have a worker for themselves.
    alone: FuturesUnordered<Alone<O>>,
    batches: FuturesUnordered<Batch>,
    /// How many of them have several jobs.
    together: usize,
    /// When to look for answers that were noted and not written.
    look: Option<Pin<Box<Sleep>>>,
    pace: Pace,
    in_flight: Option<usize>,
    pool: Option<Arc<PoolCore>>,
    #[cfg(feature = "progress")]
    bar: Option<crate::progress::Bar>,
}

type Batch = Pin<Box<dyn Future<Output = Ended> + Send>>;

struct Alone<O> {
    run: Run<O>,
    /// Until it has ended.
    place: Option<Place<O>>,
}

impl<O: DeserializeOwned + Send + 'static> Future for Alone<O> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let result = std::task::ready!(Pin::new(&mut self.run).poll(cx));
        if let Some(place) = self.place.take() {
            place.give(result);
        }
        Poll::Ready(())
    }
}

impl<I, O> Map<I, O>
where
    I: Iterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    pub(crate) fn new(jobs: I, pool: Option<Arc<PoolCore>>) -> Self {
        Self {
            jobs: jobs.fuse(),
            results: Results::new(),
            alone: FuturesUnordered::new(),
            batches: FuturesUnordered::new(),
            together: 0,
            look: None,
            pace: Pace::new(),
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
        self.with_order(true)
    }

    /// Gives each result as soon as it is there.
    ///
    /// # Panics
    ///
    /// If the stream was polled already.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let mut roots = scope(Workers::new(), async |pool| {
    ///     Ok(pool.map([1, 4, 9].map(|x| job!(u64::isqrt(x)))).unordered().in_flight(2).batch(1).collect().await?)
    /// })
    /// .await?;
    /// roots.sort();
    /// assert_eq!(roots, [1, 2, 3]);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn unordered(self) -> Self {
        self.with_order(false)
    }

    fn with_order(self, is_ordered: bool) -> Self {
        assert!(self.results.len() == 0, "choose the order of the results before the stream is polled");
        self.results.set_ordered(is_ordered);
        self
    }

    /// How many jobs are under way at most: waiting for a place, running, or done with their result not given out. At
    /// least one. Default: twice the total of the pool's limiter, times the jobs of a [batch](Self::batch).
    pub fn in_flight(mut self, jobs: usize) -> Self {
        self.in_flight = Some(jobs.max(1));
        self
    }

    /// How many jobs are sent to a worker at a time at most, between 1 and 16. Default: 16.
    ///
    /// Jobs that take some microseconds cost less than the way to a worker and back. So the next jobs go together, first two,
    /// then four, up to 16, as long as a batch is done in half a millisecond, and fewer again when it takes
    /// longer than twice that. A worker runs them one after the other, each result is there a millisecond after its job is done at the
    /// latest, and if the worker dies the jobs that it had not begun go to another. But a slow job holds up the others of its batch even if
    /// another worker has nothing to do: where quick and slow jobs are mixed and that matters, or where one job of a map
    /// waits for another, say 1.
    ///
    /// Large arguments always go alone, as does every job of a pool whose workers [retire](crate::Workers::retire).
    pub fn batch(mut self, jobs: usize) -> Self {
        self.pace.limit(jobs);
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
        let pool = Arc::clone(self.pool.get_or_insert_with(crate::ambient::pool));
        let at_a_time = pool.limit().clamp(1, MOST_BY_DEFAULT);
        let pace = if pool.settings.takes_batches() { self.pace.size() } else { 1 };
        let room = self.in_flight.unwrap_or_else(|| (2 * at_a_time * pace).min(MOST_BY_DEFAULT));
        // Half of what may be under way runs, the other half waits for its place.
        let size = pace.min(room / (2 * at_a_time)).max(1);
        let mut under_way = self.results.len();
        while under_way + size <= room || under_way == 0 {
            let batch = self.take(size, &pool);
            self.together += usize::from(batch.len() > 1);
            if !batch.is_empty() {
                self.batches.push(Box::pin(batch::run(Arc::clone(&pool), batch)));
            }
            let before = std::mem::replace(&mut under_way, self.results.len());
            if under_way == before {
                return;
            }
        }
    }

    /// The next jobs, as many as go together. One that goes alone is under way behind them.
    fn take(&mut self, size: usize, pool: &Arc<PoolCore>) -> Vec<Item<O>> {
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size {
            let Some(job) = self.jobs.next() else { break };
            let place = self.results.place(job.name());
            match Item::new(job, place, pool) {
                Ok(item) => batch.push(item),
                Err((job, place)) => {
                    let run = Run::new(job, Some(Arc::clone(pool)));
                    self.alone.push(Alone { run, place: Some(place) });
                    break;
                }
            }
        }
        batch
    }

    /// Looks now and then at what workers have noted, while there are some that may note anything. True if this was done.
    fn poll_look(&mut self, cx: &mut Context<'_>) -> bool {
        if self.together == 0 {
            return false;
        }
        let look = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
        if look.as_mut().poll(cx).is_pending() {
            return false;
        }
        look.as_mut().reset(Instant::now() + LOOK);
        if let Some(pool) = &self.pool {
            pool.look_at_slates();
        }
        true
    }

    /// Lets the jobs go on. True if a batch has ended, or one that was alone.
    fn poll_jobs(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_ended = false;
        while let Poll::Ready(Some(())) = Pin::new(&mut self.alone).poll_next(cx) {
            has_ended = true;
        }
        while let Poll::Ready(Some(ended)) = Pin::new(&mut self.batches).poll_next(cx) {
            self.together -= usize::from(ended.jobs > 1);
            self.pace.heard(ended);
            has_ended = true;
        }
        has_ended
    }
}

/// How many jobs are under way at most where nobody has said, and the limiter has no end.
const MOST_BY_DEFAULT: usize = 1024;

impl<I, O> Stream for Map<I, O>
where
    I: Iterator<Item = Job<O>> + Unpin,
    O: DeserializeOwned + Send + 'static,
{
    type Item = Result<O, RunError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let result = loop {
            self.fill();
            let has_ended = self.poll_jobs(cx);
            match self.results.take() {
                Some(result) => break Some(result),
                None if self.results.len() == 0 => break None,
                // There may be room for the next one.
                None if has_ended => {}
                None if self.poll_look(cx) => {}
                None => return Poll::Pending,
            }
        };
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.advance(result.is_some());
        }
        Poll::Ready(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.jobs.size_hint();
        let running = self.results.len();
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
            .field("ordered", &self.results.is_ordered())
            .field("under_way", &self.results.len())
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// Runs many jobs in the workers that [`run`](crate::run) would use here, as [`Pool::map`](crate::Pool::map) does in those
/// of one pool.
///
/// ```
/// use triune_worker::{job, map};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// assert_eq!(map([1, 4, 9].map(|x| job!(u64::isqrt(x)))).collect().await?, [1, 2, 3]);
/// # Ok(()) })
/// # }
/// ```
pub fn map<I, O>(jobs: I) -> Map<I::IntoIter, O>
where
    I: IntoIterator<Item = Job<O>>,
    O: DeserializeOwned + Send + 'static,
{
    Map::new(jobs.into_iter(), None)
}
