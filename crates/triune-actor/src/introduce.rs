//! Introducing two actors to each other: the parent's side.
//!
//! The parent makes a pair of sockets and passes one end to each, over its own links to them; the two shake hands by themselves. Before
//! that it asks each to expect somebody, and afterwards whether they have met.

use bytes::Bytes;
use tokio::sync::SemaphorePermit;
use triune_ipc::CallEnd;
use triune_scope::__primitive::{checkpoint_if_cancelled, primitive};
use triune_wire::{Report, ReportKind, target};

use crate::error::{CallError, IntroduceError, RemoteError};
use crate::portal::Portal;
use crate::shared::Shared;

/// Introduces two actors of this process to each other: from then on they call each other over a link of their own, without this process.
/// When this returns, each finds the other by [`peer`](crate::peer()).
///
/// The link is a pair of sockets that this process passes to them, so there is no address that anybody else could connect to. It ends with
/// either of the two. A second introduction of the same two does nothing.
///
/// # Cancel safety
///
/// Dropping the future, or a cancel, leaves the two introduced or not. Doing it again is fine.
///
/// # Errors
///
/// See [`IntroduceError`].
///
/// ```
/// use triune::actor::{introduce, peer};
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn write_down(line: String) -> usize {
///     line.len()
/// }
///
/// /// An endpoint of the reader, which calls the writer.
/// #[triune::endpoint]
/// async fn read_on(line: String) -> Result<usize> {
///     let writer = peer("writer")?;
///     Ok(writer.call(write_down::with(line)).await?)
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let (reader, writer) = (n.actor("reader").start().await?, n.actor("writer").start().await?);
///         assert!(reader.call(read_on::with("too early".to_owned())).await.is_err());
///
///         introduce(&reader, &writer).await?;
///         assert_eq!(reader.call(read_on::with("from process to process".to_owned())).await?, 23);
///         Ok(())
///     })
///     .await
/// }
/// ```
pub async fn introduce(one: &Portal, other: &Portal) -> Result<(), IntroduceError> {
    checkpoint_if_cancelled().await.map_err(IntroduceError::Cancelled)?;
    let (a, b) = (&*one.shared, &*other.shared);
    if a.id == b.id {
        return Err(IntroduceError::Itself { path: a.path.clone() });
    }
    // In one order, so that two introductions do not wait for each other.
    let (first, second) = if a.id < b.id { (a, b) } else { (b, a) };
    let _turns = (turn(first).await?, turn(second).await?);
    // The later one remembers, so that an actor that outlives many does not remember them all.
    if second.has_met(first.id) {
        return both(check(a), check(b));
    }
    let expect = |who| ask(who, target::EXPECT, Bytes::new());
    let (a_expects, b_expects) = tokio::join!(expect(a), expect(b));
    both(a_expects, b_expects)?;
    triune_ipc::introduce(&a.link, &b.link).map_err(IntroduceError::Socket)?;
    let meet = |who, whom: &Shared| ask(who, target::MEET, Bytes::copy_from_slice(whom.path.as_bytes()));
    let (a_met, b_met) = tokio::join!(meet(a, b), meet(b, a));
    both(a_met, b_met)?;
    second.has_now_met(first.id);
    Ok(())
}

/// A bounded number of introductions of one actor are under way at a time.
async fn turn(who: &Shared) -> Result<SemaphorePermit<'_>, IntroduceError> {
    let turn = primitive("introduce", who.introductions.acquire()).await;
    Ok(turn.map_err(IntroduceError::Cancelled)?.expect("the semaphore is never closed"))
}

/// Fails if this one has ended.
fn check(who: &Shared) -> Result<(), IntroduceError> {
    match who.link.end() {
        Some(end) => Err(of_end(who, CallEnd::Lost(end))),
        None => who.check_open().map_err(IntroduceError::Closed),
    }
}

/// A death says more than what the other one has seen of it.
fn both(one: Result<(), IntroduceError>, other: Result<(), IntroduceError>) -> Result<(), IntroduceError> {
    match (one, other) {
        (Err(error), Err(died)) if died.died().is_some() && error.died().is_none() => Err(died),
        (one, other) => one.and(other),
    }
}

/// Asks the runtime of an actor, and not one of its endpoints.
async fn ask(who: &Shared, target: u32, argument: Bytes) -> Result<(), IntroduceError> {
    who.check_open().map_err(IntroduceError::Closed)?;
    let asked = who.link.call_with(target, argument, Shared::options());
    match primitive("introduce", asked).await {
        Ok(Ok(_nothing)) => Ok(()),
        Ok(Err(end)) => Err(of_end(who, end)),
        Err(cancelled) => Err(IntroduceError::Cancelled(cancelled)),
    }
}

fn of_end(who: &Shared, end: CallEnd) -> IntroduceError {
    let report = match end {
        CallEnd::Lost(end) | CallEnd::NotSent(end) => match who.lost::<std::convert::Infallible>(end) {
            CallError::Died(died) => return IntroduceError::Died(died),
            CallError::Closed(closed) => return IntroduceError::Closed(closed),
            error => Report::new(ReportKind::Protocol, error.to_string()),
        },
        CallEnd::Failed(report) => *report,
        end => Report::new(ReportKind::Protocol, end.to_string()),
    };
    IntroduceError::Failed { path: who.path.clone(), error: RemoteError::new(report) }
}
