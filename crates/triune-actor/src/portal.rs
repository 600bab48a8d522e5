//! The handle on a running actor: calls and dialogs.
//!
//! Owns how one request is waited for. A cancel of the caller's scope tells the endpoint, and then waits, within the actor's grace, until
//! the endpoint has ended: what it still answers is not thrown away. The process behind the handle is the supervisor's business.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use triune_ipc::{CallEnd, PendingCall};
use triune_scope::__primitive::{checkpoint_if_cancelled, owed, primitive};
use triune_scope::{CancelReason, Cancelled, FutureExt, checkpoint, shield, shield_unbounded};

use crate::call::{Call, Request};
use crate::error::CallError;
use crate::exit::ExitReport;
use crate::shared::{ActorId, Shared};

/// A handle on a running actor. A cheap handle: clones mean the same actor.
///
/// The actor belongs to the nursery in which it was started, not to its portals: it ends with that nursery, or earlier by
/// [`cancel`](Self::cancel), also while portals are left, and it goes on when the last portal is dropped.
///
/// Any number of tasks may call through one portal at once; the requests run side by side in the actor.
///
/// ```
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn square(number: u64) -> u64 {
///     number * number
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("squares").start().await?;
///         assert_eq!((actor.name(), actor.path()), ("squares", "/squares"));
///         assert_ne!(actor.pid(), std::process::id());
///
///         // Three calls at a time, over one portal.
///         let calls = (1..=3).map(|number| {
///             let actor = actor.clone();
///             n.spawn(async move { Ok(actor.call(square::with(number)).await?) })
///         });
///         let calls: Vec<_> = calls.collect();
///         for (number, call) in (1..).zip(calls) {
///             assert_eq!(call.await?, number * number);
///         }
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Clone)]
pub struct Portal {
    pub(crate) shared: Arc<Shared>,
}

impl Portal {
    /// Calls an endpoint and waits for its answer.
    ///
    /// When the caller's scope is cancelled, the endpoint is cancelled with the same reason, and the call waits until it has ended, for as
    /// long as the actor's grace. An answer that comes all the same is returned.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the endpoint and does not wait for it.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn call<O, E>(&self, call: Call<O, E>) -> Result<O, CallError<E>> {
        let mut request = call.request;
        checkpoint_if_cancelled().await.map_err(CallError::Cancelled)?;
        self.check_open::<E>().await?;
        let arguments = request.take_arguments().map_err(CallError::Encode)?;
        let _in_flight = self.shared.enter();
        let mut pending = self.shared.link.call_with(request.entry.target(), arguments, Shared::options());
        let answered = match primitive("portal.call", &mut pending).await {
            Ok(answered) => answered,
            Err(cancelled) => {
                pending.cancel(crate::reason::to_message(cancelled.reason()));
                return self.last_words(&request, cancelled, pending).await;
            }
        };
        self.answer(&request, answered)
    }

    /// Asks the actor to stop: its requests are cancelled with this reason, then its process ends, by force if it does not within its
    /// grace. Returns at once; [`wait`](Self::wait) waits for the end. Only the first reason counts.
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// #[triune::endpoint]
    /// async fn serve() -> Result {
    ///     triune::sleep_forever().await?; // Ends by the cancel.
    ///     Ok(())
    /// }
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         let actor = n.actor("service").start().await?;
    ///         let call = n.spawn({
    ///             let actor = actor.clone();
    ///             async move { Ok(actor.call(serve::with()).await.unwrap_err().to_string()) }
    ///         });
    ///         triune::checkpoint().await?;
    ///         actor.cancel("closing time");
    ///         let report = actor.wait().await?;
    ///         assert!(report.is_graceful());
    ///         assert!(call.await?.ends_with("closing time"));
    ///
    ///         let error = actor.call(serve::with()).await.unwrap_err();
    ///         assert!(error.is_closed(), "it is not there any more");
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn cancel(&self, why: impl Into<CancelReason>) {
        self.shared.request_stop(why.into());
    }

    /// Waits until the actor has ended. Every waiter gets the same report, also later.
    ///
    /// This asks nothing of the actor; [`cancel`](Self::cancel) does.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; another wait gets the report.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the caller's scope is cancelled.
    pub async fn wait(&self) -> Result<ExitReport, Cancelled> {
        self.shared.verdict().cancellable().await
    }

    /// The actor's number, which tells it from others of the same name.
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         let (one, other) = (n.actor("twin").start().await?, n.actor("twin").start().await?);
    ///         assert_eq!(one.path(), other.path());
    ///         assert_ne!(one.id(), other.id());
    ///         assert_eq!(one.id(), one.clone().id());
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn id(&self) -> ActorId {
        self.shared.id
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its path in the tree of actors, see [`current_path`](crate::current_path).
    pub fn path(&self) -> &str {
        &self.shared.path
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Refuses a request to an actor that is being stopped, or was. Whoever tries again and again lets others run all the same.
    pub(crate) async fn check_open<E>(&self) -> Result<(), CallError<E>> {
        let Err(closed) = self.shared.check_open() else { return Ok(()) };
        checkpoint().await.map_err(CallError::Cancelled)?;
        Err(CallError::Closed(closed))
    }

    pub(crate) fn answer<O, E>(
        &self,
        request: &Request<O, E>,
        answered: Result<Bytes, CallEnd>,
    ) -> Result<O, CallError<E>> {
        match answered {
            Ok(value) => (request.decode_value)(&value).map_err(CallError::Decode),
            Err(end) => Err(self.shared.failure(request, end)),
        }
    }

    /// What the endpoint still has to say after its caller was cancelled.
    async fn last_words<O, E>(
        &self,
        request: &Request<O, E>,
        cancelled: Cancelled,
        pending: PendingCall,
    ) -> Result<O, CallError<E>> {
        match self.within_grace(pending).await {
            Some(answered) => match self.answer(request, answered) {
                Err(error) if error.is_mere_end() => Err(CallError::Cancelled(cancelled)),
                // A value that was there already, or a failure of the clean-up: neither is lost.
                other => other,
            },
            None => Err(CallError::Cancelled(cancelled)),
        }
    }

    /// Waits shielded, for as long as the actor's grace.
    pub(crate) async fn within_grace<F: Future>(&self, future: F) -> Option<F::Output> {
        let within = shield(self.shared.grace, future).await.ok();
        if within.is_none() {
            tracing::warn!(
                actor = self.path(),
                pid = self.pid(),
                grace = ?self.shared.grace,
                "an endpoint has not ended within the grace after its cancel; its caller goes on without it"
            );
        }
        within
    }

    /// Waits for the end, whatever happens to the caller's scope: what is being stopped ends within its ladder.
    pub(crate) async fn wait_shielded(&self) -> ExitReport {
        let shared = Arc::clone(&self.shared);
        owed("end of an actor", async move { shield_unbounded(shared.verdict()).await }).await
    }
}

impl<E> CallError<E> {
    /// Whether a request that was cancelled by its caller ended in no other way than by that.
    pub(crate) fn is_mere_end(&self) -> bool {
        matches!(self, Self::PeerCancelled(_) | Self::Cancelled(_) | Self::Closed(_))
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("path", &self.path()).field("pid", &self.pid()).finish_non_exhaustive()
    }
}
