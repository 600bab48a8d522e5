//! What an operation owes to its caller, also to one who is cancelled: the end of a process that it has killed, the answer to a
//! job that must not be cancelled.
//!
//! A shield would do, if it were polled to its end. One that a combinator has stopped polling holds up the cancel for ever, though
//! what it waits for is long over; and no limit, as a clean-up has it, is right for what takes as long as it takes. So the wait is a
//! parallel child: it ends when it is over, whoever polls, and the nursery around it gives up its hold then.

use std::future::{Future, pending};
use std::panic::Location;
use std::sync::Arc;

use super::child::Kind;
use super::future::nursery;
use super::handle::Nursery;
use crate::error::Result;
use crate::lock::Mutex;
use crate::task::TaskInfo;

/// Waits for `future`, which runs in a task of its own under this name. That task sees the cancels of the caller's scope; what is
/// to be waited for whatever happens is shielded in it. The caller waits until it has ended.
///
/// A panic goes on in the caller.
///
/// # Cancel safety
///
/// When the wait is dropped, `future` is cancelled and runs on, and the [`Run`](crate::Run) waits for it. Its output is dropped then.
#[track_caller]
pub fn owed<F>(name: &'static str, future: F) -> impl Future<Output = F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let location = Location::caller();
    let output = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&output);
    // On the heap from the start: it is on its way to another task, and what waits here need not be as large.
    let task = Box::pin(async move {
        let end = future.await;
        *kept.lock() = Some(end);
        Ok(())
    });
    let waits = nursery(move |n: Nursery<'_>| async move {
        let _nursery_owns_it = n.shared.start_parallel::<_, _, crate::Error>(
            Kind::Ordinary,
            TaskInfo::named(name, location),
            task,
        );
        Ok(())
    });
    async move {
        // It cannot fail, and whether it was cancelled is for the future to say.
        let _end: Result = waits.await;
        let output = output.lock().take();
        match output {
            Some(output) => output,
            // It was dropped by a hard stop or with the runtime, and so will be the caller.
            None => pending().await,
        }
    }
}
