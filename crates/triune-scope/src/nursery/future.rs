//! What the parent awaits: the futures of [`nursery`], [`nursery_with`] and [`local_nursery`], and their options.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::core::Core;
use super::engine::Engine;
use super::handle::{BoxedChild, Nursery};
use super::local::{LocalChild, LocalNursery};
use super::queue::Shared;
use super::state::PanicPolicy;
use crate::error::{NurseryError, Result};

/// Opens a nursery: runs `body`, which may start children, and returns when the body and every child have ended.
///
/// * The first child (or the body) that fails cancels the others. They may clean up; then the nursery fails with
///   an [`ErrorGroup`](crate::ErrorGroup) that keeps every error.
/// * A panic of a child cancels the others in the same way and is resumed here, after they have ended.
/// * When the scope around the nursery is cancelled, so are the body and the children. Without errors the nursery
///   then resolves to the body's value, if it got that far, else to `Err(Cancelled)`.
///
/// `body` is written `async |n| { .. }`; children may borrow whatever lives outside of it. The bound is
/// `FnOnce(Nursery) -> Fut`, not `AsyncFnOnce`, because only so is the future `Send` inside `tokio::spawn`.
///
/// # Cancel safety
///
/// When foreign code drops the future (`select!`, `timeout`), children in this task are dropped with it;
/// parallel ones are cancelled, and the [`Run`](crate::Run) waits for them.
///
/// # Errors
///
/// An [`ErrorGroup`](crate::ErrorGroup), also of one; or a cancel. One that was polled in one task and then moved to another,
/// away from its scopes, fails with [`NurseryMoved`](crate::NurseryMoved) in the group.
///
/// # Panics
///
/// Resumes the panic of the body or of a child.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{Error, nursery};
///
/// let failed = nursery(async |n| {
///     n.spawn_named("fetch", async { Err::<(), _>(Error::msg("connection refused")) });
///     std::future::pending::<()>().await;
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// assert_eq!(failed.group().unwrap().primary().task().name(), "fetch");
/// # }
/// ```
#[track_caller]
pub fn nursery<'env, F, Fut, T>(body: F) -> NurseryFuture<'env, Fut, T>
where
    F: FnOnce(Nursery<'env>) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    nursery_with(body)
}

/// Opens a [`nursery`] over an error type of the user's: an enum, `anyhow::Error`, `eyre::Report`, a boxed error.
///
/// Body, children and handles then speak `E`. What the nursery raises, an [`ErrorGroup`](crate::ErrorGroup) or a
/// cancel, arrives by `E::from(Error)`, and the members of the group are found with
/// [`downcast_all::<E>`](crate::ErrorGroup::downcast_all) or by their own types; see [`NurseryError`].
///
/// Name the type where it cannot be inferred: `nursery_with::<E, _, _, _>(async |n| ..)`. [`nursery`] is this with
/// [`Error`](crate::Error), and there `?` in a child needs no annotation.
///
/// # Cancel safety
///
/// As [`nursery`].
///
/// # Errors
///
/// The group or the cancel, as an `E`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{Error, nursery_with};
///
/// #[derive(Debug)]
/// enum AppError {
///     Busy,
///     Triune(Error),
/// }
/// # impl std::fmt::Display for AppError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") }
/// # }
/// impl std::error::Error for AppError {}
/// impl From<Error> for AppError {
///     fn from(error: Error) -> Self {
///         Self::Triune(error)
///     }
/// }
///
/// let failed = nursery_with::<AppError, _, _, _>(async |n| {
///     n.spawn(async { Err::<(), _>(AppError::Busy) }).await
/// })
/// .await;
/// let Err(AppError::Triune(error)) = failed else { panic!("a nursery raises a group") };
/// assert!(matches!(error.downcast_ref(), Some(AppError::Busy)));
/// # }
/// ```
#[track_caller]
pub fn nursery_with<'env, E, F, Fut, T>(body: F) -> NurseryFuture<'env, Fut, T>
where
    E: NurseryError,
    F: FnOnce(Nursery<'env, E>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let shared = Shared::new(Core::new(Location::caller()));
    let body = body(Nursery::new(std::sync::Arc::clone(&shared)));
    NurseryFuture { engine: Engine::new(shared, body) }
}

/// Opens a [`nursery`] whose children need not be `Send`; then neither is its future.
///
/// # Cancel safety
///
/// As [`nursery`].
///
/// # Errors
///
/// As [`nursery`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::cell::Cell;
/// use triune_scope::local_nursery;
///
/// let count = Cell::new(0);
/// local_nursery(async |n| {
///     for _ in 0..3 {
///         n.spawn(async { Ok(count.set(count.get() + 1)) });
///     }
///     Ok(())
/// })
/// .await?;
/// assert_eq!(count.get(), 3);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn local_nursery<'env, F, Fut, T>(body: F) -> LocalNurseryFuture<'env, Fut, T>
where
    F: FnOnce(LocalNursery<'env>) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    local_nursery_with(body)
}

/// Opens a [`local_nursery`] over an error type of the user's, see [`nursery_with`].
///
/// # Cancel safety
///
/// As [`nursery`].
///
/// # Errors
///
/// The group or the cancel, as an `E`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::rc::Rc;
/// use triune_scope::local_nursery_with;
///
/// type Boxed = Box<dyn std::error::Error + Send + Sync>;
///
/// let length = local_nursery_with::<Boxed, _, _, _>(async |n| {
///     let text = n.spawn(async { Ok(Rc::new(String::from_utf8(vec![b'a'; 3])?)) });
///     Ok(text.await?.len())
/// });
/// assert_eq!(length.await.unwrap(), 3);
/// # }
/// ```
#[track_caller]
pub fn local_nursery_with<'env, E, F, Fut, T>(body: F) -> LocalNurseryFuture<'env, Fut, T>
where
    E: NurseryError,
    F: FnOnce(LocalNursery<'env, E>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let shared = Shared::new(Core::new(Location::caller()));
    let body = body(LocalNursery::new(std::sync::Arc::clone(&shared)));
    LocalNurseryFuture { engine: Engine::new(shared, body) }
}

/// Defines the future of a kind of nursery: a face of [`Engine`].
macro_rules! nursery_future {
    ($(#[$doc:meta])* $name:ident, $child:ident, $optional:ident) => {
        pin_project! {
            $(#[$doc])*
            ///
            /// # Cancel safety
            ///
            /// Dropping it drops the children in this task; parallel ones are cancelled, and the
            /// [`Run`](crate::Run) waits for them.
            #[must_use = "a nursery does nothing unless awaited; await it, or its children never run"]
            pub struct $name<'env, Fut, T> {
                #[pin]
                engine: Engine<$child<'env>, Fut, T>,
            }
        }

        impl<'env, Fut: Future, T> $name<'env, Fut, T> {
            /// Names the nursery in reports.
            pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
                self.engine.core().set_name(name.into());
                self
            }

            /// A child's error does not cancel its siblings; when all have ended, the nursery fails with a group
            /// of all errors.
            ///
            /// An error of the body, a cancel, and a panic under [`PanicPolicy::Propagate`] still cancel them.
            /// The errors are kept until the end: a server that runs for ever handles them in its children.
            pub fn supervise(mut self) -> Self {
                self.engine.state.set_supervise();
                self
            }

            /// Cancels the nursery when `deadline` has passed, with [`Cause::Deadline`](crate::Cause::Deadline). Its
            /// scope, [`Nursery::scope`], can move the deadline.
            #[track_caller]
            pub fn deadline(self, deadline: Instant) -> Self {
                self.engine.core().scope.set_deadline(deadline);
                self
            }

            /// Cancels the nursery when `limit` has passed since its first poll, see [`deadline`](Self::deadline).
            #[track_caller]
            pub fn timeout(self, limit: Duration) -> Self {
                self.engine.core().scope.set_timeout(limit);
                self
            }

            /// Says what becomes of a panic of the body or of a child.
            pub fn on_panic(mut self, policy: PanicPolicy) -> Self {
                self.engine.state.set_on_panic(policy);
                self
            }

            /// Shields the nursery from a cancel from around it for at most `max`, counted from that cancel (or
            /// from the start, if it came before). Then the cancel comes through, and children may clean up as
            /// after any other; also if nobody polls the nursery any more, which is dropped then.
            /// [`Nursery::cancel`] is not affected.
            ///
            /// # Panics
            ///
            /// When such a cancel comes outside of a tokio runtime with time enabled.
            pub fn shielded(mut self, max: Duration) -> Self {
                self.engine.state.set_grace(max);
                self
            }

            /// Makes a cancel of the nursery itself, by [`Nursery::cancel`], no error: where it cut the body off,
            /// the nursery resolves to `Ok(None)`. A cancel from around it is not absorbed.
            pub fn or_cancelled(self) -> $optional<'env, Fut, T> {
                $optional { engine: self.engine }
            }
        }

        impl<Fut, T, E> Future for $name<'_, Fut, T>
        where
            Fut: Future<Output = Result<T, E>>,
            E: NurseryError,
        {
            type Output = Result<T, E>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.project().engine.poll_end(cx).map(|end| end.into_result())
            }
        }

        impl<Fut: Future, T> fmt::Debug for $name<'_, Fut, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.engine.core().describe(stringify!($name), f)
            }
        }

        pin_project! {
            #[doc = concat!("A nursery that is no error when it was cancelled: [`", stringify!($name), "::or_cancelled`].")]
            ///
            /// # Cancel safety
            ///
            /// As that of the nursery.
            #[must_use = "a nursery does nothing unless awaited; await it, or its children never run"]
            pub struct $optional<'env, Fut, T> {
                #[pin]
                engine: Engine<$child<'env>, Fut, T>,
            }
        }

        impl<Fut, T, E> Future for $optional<'_, Fut, T>
        where
            Fut: Future<Output = Result<T, E>>,
            E: NurseryError,
        {
            type Output = Result<Option<T>, E>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.project().engine.poll_end(cx).map(|end| end.into_optional())
            }
        }

        impl<Fut: Future, T> fmt::Debug for $optional<'_, Fut, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.engine.core().describe(stringify!($optional), f)
            }
        }
    };
}

nursery_future! {
    /// An open nursery; made by [`nursery`] and [`nursery_with`].
    NurseryFuture, BoxedChild, OrCancelled
}

nursery_future! {
    /// An open nursery without `Send`; made by [`local_nursery`] and [`local_nursery_with`].
    LocalNurseryFuture, LocalChild, LocalOrCancelled
}
