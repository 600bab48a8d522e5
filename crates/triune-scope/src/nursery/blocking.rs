//! Children that are jobs on threads. The job itself is in `crate::blocking`.

use std::panic::Location;

use std::future::Future;

use super::child::{Child, Kind};
use super::handle::{self, Nursery};
use super::local::{self, LocalNursery};
use crate::blocking::{self, Blocking};
use crate::cancel::map::map;
use crate::error::{NurseryError, Result};
use crate::task::TaskInfo;

impl<E: NurseryError> Nursery<'_, E> {
    /// Starts a child that is a closure on a thread, for code that blocks. The closure gets a [`Blocking`], with which it
    /// notices a cancel and calls async code.
    ///
    /// The nursery ends only after the closure has: a cancel asks it to end and waits. See [`blocking::run`]
    /// for that and for the limit on the number of threads; `n.spawn(blocking::run(..).abandon_on_cancel())` has its options.
    ///
    /// # Panics
    ///
    /// The nursery panics outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::nursery;
    ///
    /// let found = nursery(async |n| {
    ///     let found = n.spawn_blocking(|b| {
    ///         for number in 1_u64.. {
    ///             b.check_cancelled()?;
    ///             if number * number > 1_000_000 {
    ///                 return Ok(number);
    ///             }
    ///         }
    ///         unreachable!("the numbers do not end")
    ///     });
    ///     found.await
    /// })
    /// .await?;
    /// assert_eq!(found, 1001);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<T, F>(&self, job: F) -> Child<T, E>
    where
        F: FnOnce(&Blocking) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let task = TaskInfo::of_type::<F>(Location::caller());
        self.shared.start(Kind::Ordinary, task, run(job), handle::boxed)
    }
}

impl<E: NurseryError> LocalNursery<'_, E> {
    /// Starts a child that is a closure on a thread, see [`Nursery::spawn_blocking`]. That one is `Send`.
    ///
    /// # Panics
    ///
    /// The nursery panics outside of a tokio runtime.
    #[track_caller]
    pub fn spawn_blocking<T, F>(&self, job: F) -> Child<T, E>
    where
        F: FnOnce(&Blocking) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let task = TaskInfo::of_type::<F>(Location::caller());
        self.shared.start(Kind::Ordinary, task, run(job), local::boxed)
    }
}

/// A job whose errors are the nursery's.
#[track_caller]
fn run<T, E, F>(job: F) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
where
    F: FnOnce(&Blocking) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: NurseryError,
{
    let location = Location::caller();
    let running = blocking::run(move |b: &Blocking| Ok(Answer { end: Some(job(b)), location }));
    map(running, |end: Result<Answer<T, E>>| end?.end.take().expect("nobody else takes it"))
}

/// What a job has returned. Its error is of a type that the thread does not know, so it is told here if nobody reads it.
struct Answer<T, E: NurseryError> {
    end: Option<Result<T, E>>,
    location: &'static Location<'static>,
}

impl<T, E: NurseryError> Drop for Answer<T, E> {
    fn drop(&mut self) {
        let Some(Err(error)) = self.end.take() else { return };
        let error = error.into_error();
        if !error.is_cancelled() {
            let called_at = self.location;
            tracing::warn!(%called_at, error = format!("{error:#}"), "a thread job that nobody waited for failed");
        }
    }
}
