//! The nursery without `Send`: for children that hold an `Rc`, a `RefCell` borrow, a `!Send` handle of a library.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use super::child::{Child, Kind};
use super::info::ChildInfo;
use super::queue::Shared;
use super::set::Member;
use super::start::{Start, Started};
use crate::cancel::{CancelReason, CancelScope};
use crate::error::{Error, NurseryError, Result};
use crate::task::TaskInfo;

/// A handle on an open [`local_nursery`](crate::local_nursery): as [`Nursery`](crate::Nursery), but its children in
/// this task need not be `Send`. Neither is the handle.
///
/// # Panics
///
/// As [`Nursery`](crate::Nursery): when a child is started after the nursery has ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::rc::Rc;
/// use triune_scope::local_nursery;
///
/// let text = Rc::new("three words here".to_owned());
/// let count = local_nursery(async |n| {
///     let shared = Rc::clone(&text);
///     n.spawn_named("count", async move { Ok(shared.split(' ').count()) }).await
/// });
/// assert_eq!(count.await?, 3);
/// # Ok(()) }
/// ```
pub struct LocalNursery<'env, E = Error> {
    pub(super) shared: Arc<Shared<LocalChild<'env>>>,
    errors: PhantomData<fn() -> E>,
}

pub(super) type LocalChild<'env> = Pin<Box<dyn Member + 'env>>;

impl<'env, E: NurseryError> LocalNursery<'env, E> {
    pub(super) fn new(shared: Arc<Shared<LocalChild<'env>>>) -> Self {
        Self { shared, errors: PhantomData }
    }

    /// Starts a child in this task, see [`Nursery::spawn`](crate::Nursery::spawn).
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
    {
        self.shared.start(Kind::Ordinary, TaskInfo::of_type::<F>(Location::caller()), future, boxed)
    }

    /// Starts a child in this task under a name of its own.
    #[track_caller]
    pub fn spawn_named<T, F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
    {
        self.shared.start(Kind::Ordinary, TaskInfo::named(name, Location::caller()), future, boxed)
    }

    /// Starts a child that gets this handle, so that it can start siblings.
    #[track_caller]
    pub fn spawn_with<T, F, Fut>(&self, child: F) -> Child<T, E>
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, E>> + 'env,
        T: 'env,
    {
        let task = TaskInfo::of_type::<Fut>(Location::caller());
        self.shared.start(Kind::Ordinary, task, child(self.clone()), boxed)
    }

    /// Starts a child as a tokio task, see [`Nursery::spawn_task`](crate::Nursery::spawn_task). That one is `Send`.
    ///
    /// # Panics
    ///
    /// Also outside of a tokio runtime.
    #[track_caller]
    pub fn spawn_task<T, F>(&self, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.shared.start_parallel(Kind::Ordinary, TaskInfo::of_type::<F>(Location::caller()), future)
    }

    /// Starts a service child in this task, see [`Nursery::daemon`](crate::Nursery::daemon).
    #[track_caller]
    pub fn daemon<F>(&self, future: F)
    where
        F: Future<Output = Result<(), E>> + 'env,
    {
        let task = TaskInfo::of_type::<F>(Location::caller());
        let _nursery_owns_it = self.shared.start(Kind::Daemon, task, future, boxed);
    }

    /// Starts a named service child as a tokio task, see [`Nursery::daemon_task`](crate::Nursery::daemon_task). That one is
    /// `Send`.
    ///
    /// # Panics
    ///
    /// Also outside of a tokio runtime.
    #[track_caller]
    pub fn daemon_task<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Child<(), E>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.shared.start_parallel(Kind::Daemon, TaskInfo::named(name, Location::caller()), future)
    }

    /// Starts a child and waits until it says that it is ready, see [`Nursery::start`](crate::Nursery::start).
    ///
    /// # Cancel safety
    ///
    /// When it is dropped before its end, the child is cancelled; a value that was already on its way is dropped.
    ///
    /// # Errors
    ///
    /// As [`Nursery::start`](crate::Nursery::start).
    #[track_caller]
    pub fn start<T, F, Fut>(&self, child: F) -> impl Future<Output = Result<T, E>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(Started<T>) -> Fut,
        Fut: Future<Output = Result<(), E>> + 'env,
        T: 'env,
    {
        Start::new(&self.shared, TaskInfo::of_type::<Fut>(Location::caller()), child, boxed)
    }

    /// The living children, in the order of their start.
    pub fn children(&self) -> Vec<ChildInfo> {
        self.shared.core.children()
    }

    /// Cancels the nursery: its body and all its children.
    #[track_caller]
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.shared.core.node.cancel(reason.into().at(Location::caller()));
    }

    /// The scope of the nursery. It is entered already.
    pub fn scope(&self) -> &CancelScope {
        &self.shared.core.scope
    }

    /// Where the nursery was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.shared.core.opened_at()
    }
}

pub(super) fn boxed<'env, F: Member + 'env>(child: F) -> LocalChild<'env> {
    Box::pin(child)
}

impl<E> Clone for LocalNursery<'_, E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), errors: PhantomData }
    }
}

impl<E> fmt::Debug for LocalNursery<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.core.describe("LocalNursery", f)
    }
}
