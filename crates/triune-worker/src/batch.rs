//! Several quick jobs of one map, sent to one worker together.
//!
//! A small job costs less than the two wake-ups around it: those of the worker and of this process. Sent together, many jobs
//! share them. Each still has its own answer, which is written, or noted where it outlives the worker (`slate`), before the next job
//! begins.
//!
//! Invariants:
//! 1. All jobs of a batch belong to one [`Map`](crate::Map), so what ends its worker (a cancel around the map, its drop) was meant
//!    for all of them.
//! 2. The worker answers a job before it begins the next. So when it dies, the first job without an answer may have begun;
//!    those behind it have not, and are sent to another worker.
//! 3. A batch has one place under the limiter, because one worker is at work for it.
//! 4. Every job of a batch gets exactly one result, unless the batch is dropped with its map.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use triune_ipc::{CallEnd, PendingCalls};
use triune_scope::__primitive::primitive;
use triune_scope::sync::Token;
use triune_scope::{Cancelled, checkpoint};
use triune_wire::Message;

use crate::arguments::Encoded;
use crate::error::RunError;
use crate::execute::Request;
use crate::job::{Call, Job};
use crate::pool::{Lease, NotAdmitted, Policy, PoolCore};
use crate::results::Place;
use crate::run::decoded;
use crate::shared::Kept;
use crate::worker::{Connection, StartFailure};

/// How many jobs a batch has at most.
pub(crate) const MOST: usize = 16;

/// Arguments of a job in a batch, in bytes at most: all of them fit into the socket, and none comes in pieces.
const SMALL: usize = 2 * 1024;

/// How much shared memory the arguments of a job in a batch refer to at most, so that all of it can be lent before the first.
const FEW: usize = 16;

/// A batch that took less time is quick: the next may be larger. One that took twice as long is not.
const QUICK: Duration = Duration::from_micros(500);

/// One job of a batch.
pub(crate) struct Item<O> {
    call: Call,
    arguments: Message,
    /// What the arguments refer to in this process.
    kept: Kept,
    place: Place<O>,
}

impl<O> Item<O> {
    /// The job and its place are given back if it is none for a batch.
    pub(crate) fn new(job: Job<O>, place: Place<O>, pool: &PoolCore) -> Result<Self, (Job<O>, Place<O>)> {
        if pool.settings.check(&job.call).is_err() {
            return Err((job, place));
        }
        let encoded = job.call.arguments.small_once(pool.settings.format());
        let Some(Encoded { bytes: Ok(arguments), kept }) = encoded else {
            return Err((job, place));
        };
        if arguments.len() > SMALL || kept.memories().len() > FEW {
            return Err((job, place));
        }
        Ok(Self { call: job.call, arguments, kept, place })
    }

    fn name(&self) -> &'static str {
        self.call.name
    }

    /// The same job alone, for its errors.
    fn request(&self) -> Request {
        Request::new(self.call.clone(), None)
    }

    fn end(self, result: Result<O, RunError>) {
        self.place.give(result);
    }
}

/// How many jobs the next batch has.
#[derive(Debug)]
pub(crate) struct Pace {
    size: usize,
    most: usize,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { size: 1, most: MOST }
    }

    pub(crate) fn limit(&mut self, most: usize) {
        self.most = most.clamp(1, MOST);
    }

    pub(crate) fn size(&self) -> usize {
        self.size.min(self.most)
    }

    /// Learns from a batch that has ended.
    pub(crate) fn heard(&mut self, Ended { jobs, took }: Ended) {
        match took {
            Some(took) if took < QUICK && jobs >= self.size => self.size = (self.size * 2).min(MOST),
            Some(took) if took > 2 * QUICK => self.size = (self.size / 2).max(1),
            _ => {}
        }
    }
}

/// A batch has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) jobs: usize,
    /// From sending to the last answer, if all went well.
    took: Option<Duration>,
}

/// Why no job of a batch is run any more.
enum Stop {
    Closed,
    Cancelled(Cancelled),
}

impl Stop {
    fn of(&self, job: &str) -> RunError {
        let job = job.to_owned();
        match self {
            Self::Closed => RunError::Closed { job },
            Self::Cancelled(cancelled) => RunError::Cancelled { job, cancelled: cancelled.clone() },
        }
    }
}

/// Runs a batch of jobs to their ends.
///
/// # Cancel safety
///
/// As [`run`](crate::run) for all of them: a cancel kills the worker, and all jobs that have no answer end as cancelled, also
/// those that had not begun. Dropping it kills the worker at once, and drops the jobs.
pub(crate) async fn run<O>(pool: Arc<PoolCore>, items: Vec<Item<O>>) -> Ended
where
    O: DeserializeOwned + Send + 'static,
{
    let jobs = items.len();
    let mut items = VecDeque::from(items);
    let (mut token, mut took) = (None, None);
    while !items.is_empty() {
        match attempt(&pool, &mut token, &mut items).await {
            Ok(time) => took = time,
            Err(stop) => {
                for item in items.drain(..) {
                    let error = stop.of(item.name());
                    item.end(Err(error));
                }
            }
        }
    }
    Ended { jobs, took }
}

/// What is on its way to one worker. In this order: when it is dropped the worker is killed before its calls are given up, and
/// no message of that is sent to the dead.
struct Flight {
    lease: Lease,
    calls: PendingCalls,
}

/// Sends the jobs to one worker, and takes those that have their result out of the queue. The token is left if it can be used
/// again.
///
/// # Cancel safety
///
/// As [`run`].
async fn attempt<O>(
    pool: &Arc<PoolCore>,
    token: &mut Option<Token>,
    items: &mut VecDeque<Item<O>>,
) -> Result<Option<Duration>, Stop>
where
    O: DeserializeOwned + Send + 'static,
{
    let place = match token.take() {
        Some(token) => token,
        None => pool.admit(None).await.map_err(|refusal| match refusal {
            NotAdmitted::Closed => Stop::Closed,
            NotAdmitted::Cancelled(cancelled) => Stop::Cancelled(cancelled),
        })?,
    };
    let lease = pool.lease(place, Policy::Kill).ok_or(Stop::Closed)?;
    let connected = match lease.connected(Policy::Kill).await {
        Ok(connected) => connected.map_err(StartFailure::clone),
        Err(cancelled) => {
            lease.kill().await;
            return Err(Stop::Cancelled(cancelled));
        }
    };
    let calls = match connected {
        Ok(connection) => {
            connection.lent.lend(items.iter().map(|item| &item.kept));
            if items.len() > 1 {
                lease.lend_slate(connection);
            }
            call_all(connection, items)
        }
        Err(failure) => {
            lease.kill().await;
            // The others try again, as they would one by one.
            if let Some(item) = items.pop_front() {
                let error = item.request().not_started(failure);
                item.end(Err(error));
            }
            return Ok(None);
        }
    };
    let begin = Instant::now();
    let landed = land(Flight { lease, calls }, items, token).await?;
    if !landed {
        // What is left has not begun.
        checkpoint().await.map_err(Stop::Cancelled)?;
        return Ok(None);
    }
    Ok(Some(begin.elapsed()))
}

/// Sends the jobs to one worker. Those that it does not have are ended.
fn call_all<O>(connection: &Connection, items: &mut VecDeque<Item<O>>) -> PendingCalls {
    let mut targets = Vec::with_capacity(items.len());
    for _ in 0..items.len() {
        let Some(item) = items.pop_front() else { break };
        match connection.targets.find(item.call.name, item.call.entry) {
            Ok(target) => {
                targets.push(target);
                items.push_back(item);
            }
            Err(report) => {
                let error = RunError::reported(item.name(), report);
                item.end(Err(error));
            }
        }
    }
    connection.link.call_all(targets.into_iter().zip(items.iter().map(|item| &item.arguments)))
}

/// Gives out the answers as they come. False if the worker died before it had done all.
///
/// # Cancel safety
///
/// As [`run`].
async fn land<O>(
    mut flight: Flight,
    items: &mut VecDeque<Item<O>>,
    token: &mut Option<Token>,
) -> Result<bool, Stop>
where
    O: DeserializeOwned + Send + 'static,
{
    let mut is_trusted = true;
    loop {
        let next = primitive("jobs in a worker", flight.calls.next()).await;
        let answer = match next {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            Err(cancelled) => {
                let Flight { lease, calls } = flight;
                lease.kill().await;
                drop(calls);
                return Err(Stop::Cancelled(cancelled));
            }
        };
        let result = match answer {
            Ok(bytes) => match decoded(bytes, flight.lease.format()).await {
                Some(Ok(value)) => Ok(value),
                Some(Err(error)) => {
                    // Bytes that are not of the type that both sides agreed on: it may end what it has begun, no more.
                    is_trusted = false;
                    Err(RunError::decode_result(items[0].name(), error))
                }
                None => return Err(Stop::Closed),
            },
            Err(CallEnd::Failed(report)) => Err(RunError::reported(items[0].name(), report)),
            Err(end) => return lost(flight, end, items, token).await,
        };
        if let Some(item) = items.pop_front() {
            item.end(result);
        }
    }
    if is_trusted {
        flight.lease.release();
    } else {
        flight.lease.kill().await;
    }
    Ok(true)
}

/// The worker is gone before it has answered the first job that is left.
///
/// # Cancel safety
///
/// Cancels are not seen; dropping it leaves the worker to its supervisor.
async fn lost<O>(
    Flight { lease, calls }: Flight,
    end: CallEnd,
    items: &mut VecDeque<Item<O>>,
    token: &mut Option<Token>,
) -> Result<bool, Stop> {
    let (obituary, was_closed) = (lease.obituary(), lease.pool_is_closing_it());
    let (place, ended) = lease.bury().await;
    drop(calls);
    if was_closed {
        return Err(Stop::Closed);
    }
    *token = Some(place);
    let was_read = match end {
        CallEnd::NotSent(_) => false,
        // Only of the last call that was sent it can be known, and that is this one if there is no other.
        CallEnd::Lost(_) => !(items.len() == 1 && ended.is_some_and(|end| end.left_unread)),
        _ => {
            if let Some(item) = items.pop_front() {
                let error = item.request().refused(end.to_string());
                item.end(Err(error));
            }
            return Ok(false);
        }
    };
    if was_read && let Some(item) = items.pop_front() {
        let ended_for = ended.and_then(|end| end.ended_for);
        let error = RunError::died(item.name(), obituary(ended), ended_for);
        item.end(Err(error));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Ended, MOST, Pace, QUICK};

    fn heard(pace: &mut Pace, jobs: usize, took: Duration) -> usize {
        pace.heard(Ended { jobs, took: Some(took) });
        pace.size()
    }

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_not() {
        let mut pace = Pace::new();
        assert_eq!(pace.size(), 1, "nothing is known of the first job");
        assert_eq!(heard(&mut pace, 1, QUICK / 2), 2);
        assert_eq!(heard(&mut pace, 1, QUICK / 2), 2, "an earlier, smaller one says nothing of this size");
        assert_eq!((0..9).map(|_| heard(&mut pace, MOST, QUICK / 2)).last(), Some(MOST));
        assert_eq!(heard(&mut pace, MOST, QUICK), MOST, "neither");
        assert_eq!(heard(&mut pace, MOST, 3 * QUICK), MOST / 2);
        assert_eq!((0..9).map(|_| heard(&mut pace, 1, 3 * QUICK)).last(), Some(1));
        pace.limit(0);
        assert_eq!(heard(&mut pace, 1, QUICK / 2), 1);
    }
}
