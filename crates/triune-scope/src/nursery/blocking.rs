//! Children that are jobs on threads. The job itself is in `crate::blocking`.

use std::panic::Location;

use super::child::{Child, Kind};
use super::handle::{Nursery, boxed};
use crate::blocking::{self, Blocking};
use crate::error::Result;
use crate::task::TaskInfo;

impl Nursery<'_> {
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
    pub fn spawn_blocking<T, F>(&self, job: F) -> Child<T>
    where
        F: FnOnce(&Blocking) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let task = TaskInfo::of_type::<F>(Location::caller());
        self.shared.start(Kind::Ordinary, task, blocking::run(job), boxed)
    }
}
