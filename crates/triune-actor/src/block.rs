//! The caller's half of a dialog: a block of code linked to an endpoint's task.
//!
//! # How the two halves end each other
//!
//! | first | then |
//! |---|---|
//! | the endpoint fails, panics, is cancelled, dies | the block is cancelled with that as the reason (cause `Peer`), and the failure is returned |
//! | the endpoint returns | the block goes on; `recv` gives `None` after the last item |
//! | the block fails, or is cancelled from outside | the endpoint is cancelled with that as the reason and waited for, within the actor's grace; the block's error is returned |
//! | the block returns | its sending half closes, what it left unread is read and thrown away, and the endpoint's result is awaited |
//! | the future is dropped | the endpoint is cancelled (cause `Dropped`) |
//!
//! Both may fail, each by itself: then both errors are returned, the first one first ([`BothFailed`]).

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use triune_ipc::{CallEnd, PendingDialog};
use triune_scope::__primitive::{checkpoint_if_cancelled, primitive};
use triune_scope::{CancelReason, CancelScope, Cause, Error, FutureExt, Outcome, Result, checkpoint};

use crate::call::{DialogCall, Request};
use crate::dialog::{Dialog, Leftover};
use crate::error::{BothFailed, CallError, PeerEnd};
use crate::portal::Portal;
use crate::reason::to_message;
use crate::shared::Shared;

impl Portal {
    /// Opens a dialog with an endpoint and runs `block` with the endpoint's first value and the open dialog. Gives what the block and
    /// what the endpoint returned.
    ///
    /// The block and the endpoint's task are linked: an error, a panic, a cancel or the death of one ends the other, with the reason. When
    /// the block returns, the endpoint's result is awaited: an endpoint ends by itself, for instance when its `recv` gives `None`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the block and cancels the endpoint, without waiting for it.
    ///
    /// # Errors
    ///
    /// The block's own error, or the endpoint's failure as a [`CallError<E>`](CallError), or [`BothFailed`].
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// /// Gives the running mean of what it is sent, and at last how many numbers there were.
    /// #[triune::endpoint]
    /// async fn mean(cx: Context<Started<()>, Out<f64>, In<f64>>) -> Result<u32> {
    ///     let mut dialog = cx.started(()).await?;
    ///     let (mut sum, mut count) = (0.0, 0);
    ///     while let Some(number) = dialog.recv().await? {
    ///         sum += number;
    ///         count += 1;
    ///         dialog.send(sum / f64::from(count)).await?;
    ///     }
    ///     Ok(count)
    /// }
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         let actor = n.actor("statistics").start().await?;
    ///         let (means, count) = actor
    ///             .context(mean::with(), async |(), mut dialog| {
    ///                 let mut means = Vec::new();
    ///                 for number in [1.0, 2.0, 6.0] {
    ///                     dialog.send(number).await?;
    ///                     means.extend(dialog.recv().await?);
    ///                 }
    ///                 Ok(means) // Dropping the dialog says that there is nothing more to come.
    ///             })
    ///             .await?;
    ///         assert_eq!((means, count), (vec![1.0, 1.5, 3.0], 3));
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub async fn context<S, Out, In, O, E, T, F, Fut>(
        &self,
        call: DialogCall<S, Out, In, O, E>,
        block: F,
    ) -> Result<(T, O)>
    where
        F: FnOnce(S, Dialog<In, Out>) -> Fut,
        Fut: Future<Output = Result<T>>,
        E: std::fmt::Debug + Send + Sync + 'static,
    {
        let DialogCall { mut request, decode_started, .. } = call;
        checkpoint_if_cancelled().await?;
        self.check_open::<E>().await?;
        let arguments = request.take_arguments().map_err(CallError::<E>::Encode)?;
        let _in_flight = self.shared.enter();
        let (mut pending, sender, receiver) =
            self.shared.link.open_with(request.entry.target(), arguments, Shared::options());
        let started = primitive("portal.context", pending.started()).await;
        let first = match started {
            Ok(Ok(first)) => decode_started(&first).map_err(CallError::<E>::Decode)?,
            Ok(Err(end)) => return Err(self.shared.failure(&request, end).into()),
            Err(cancelled) => {
                let reason = cancelled.reason().clone();
                return Err(self.give_up(&request, &mut pending, reason, cancelled.into()).await);
            }
        };
        let home = Arc::new(Leftover::default());
        let dialog = Dialog::new(sender, receiver, Some(Arc::clone(&home)));
        let scope = CancelScope::new();
        let mut drain = pin!(home.drain());
        let (outcome, terminal) = {
            let block = pin!(scope.run(block(first, dialog)));
            self.side_by_side(&request, &scope, block, pin!(pending.ended()), drain.as_mut()).await
        };
        match terminal {
            Some(terminal) => settle(outcome, terminal, &scope).await,
            None => self.finish(&request, outcome, &mut pending, drain).await,
        }
    }

    /// Runs the block to its end; the endpoint's failure cancels it.
    async fn side_by_side<O, E, T>(
        &self,
        request: &Request<O, E>,
        scope: &CancelScope,
        mut block: Pin<&mut impl Future<Output = Outcome<Result<T>>>>,
        mut ended: Pin<&mut impl Future<Output = Result<Bytes, CallEnd>>>,
        mut drain: Pin<&mut impl Future>,
    ) -> (Outcome<Result<T>>, Option<Result<O, CallError<E>>>) {
        let mut terminal = None;
        let outcome = std::future::poll_fn(|cx| {
            // First, so that the block learns of the end by its cancel and not by a failing item.
            if terminal.is_none()
                && let Poll::Ready(answered) = ended.as_mut().poll(cx)
            {
                let answer = self.answer(request, answered);
                if let Err(error) = &answer {
                    scope.cancel(self.peer_reason(error));
                }
                terminal = Some(answer);
            }
            if terminal.is_none() {
                let _never = drain.as_mut().poll(cx);
            }
            block.as_mut().poll(cx)
        })
        .await;
        (outcome, terminal)
    }

    /// The block has ended and the endpoint has not.
    async fn finish<O, E, T>(
        &self,
        request: &Request<O, E>,
        outcome: Outcome<Result<T>>,
        pending: &mut PendingDialog,
        mut drain: Pin<&mut impl Future>,
    ) -> Result<(T, O)>
    where
        E: std::fmt::Debug + Send + Sync + 'static,
    {
        let value = match outcome {
            Outcome::Done(Ok(value)) => value,
            Outcome::Done(Err(error)) => {
                let reason = match error.as_cancelled() {
                    Some(cancelled) => cancelled.reason().clone(),
                    None => {
                        CancelReason::new(Cause::Explicit, format!("the caller's block failed: {error:#}"))
                    }
                };
                return Err(self.give_up(request, pending, reason, error).await);
            }
            // Cut off by a cancel from outside: the scope itself is cancelled only by the endpoint's end.
            Outcome::Cancelled(reason) => {
                let error = cut_off(&reason).await;
                return Err(self.give_up(request, pending, reason, error).await);
            }
        };
        let answered = {
            let mut ended = pin!(pending.ended());
            std::future::poll_fn(|cx| {
                let _never = drain.as_mut().poll(cx);
                ended.as_mut().poll(cx)
            })
            .cancellable()
            .await
        };
        match answered {
            Ok(answered) => Ok((value, self.answer(request, answered)?)),
            Err(cancelled) => {
                pending.cancel(to_message(cancelled.reason()));
                match self.within_grace(pending.ended()).await.map(|answered| self.answer(request, answered))
                {
                    Some(Ok(result)) => Ok((value, result)),
                    Some(Err(error)) if !error.is_mere_end() => Err(error.into()),
                    _ => Err(cancelled.into()),
                }
            }
        }
    }

    /// Cancels the endpoint, waits for its end within the grace, and returns the caller's error, with the endpoint's own failure if there
    /// is one.
    async fn give_up<O, E>(
        &self,
        request: &Request<O, E>,
        pending: &mut PendingDialog,
        reason: CancelReason,
        error: Error,
    ) -> Error
    where
        E: std::fmt::Debug + Send + Sync + 'static,
    {
        pending.cancel(to_message(&reason));
        let answer = self.within_grace(pending.ended()).await.map(|answered| self.answer(request, answered));
        match answer {
            Some(Err(failure)) if !failure.is_mere_end() => both(error, failure.into()),
            _ => error,
        }
    }

    /// The endpoint's end as the reason of the block's cancel.
    fn peer_reason<E>(&self, error: &CallError<E>) -> CancelReason {
        match error {
            CallError::PeerCancelled(peer) => peer.reason().clone(),
            CallError::Cancelled(cancelled) => cancelled.reason().clone(),
            CallError::Died(died) => {
                CancelReason::new(Cause::Peer, died.to_string()).with_by(self.path().to_owned())
            }
            error => {
                let text = match error.report() {
                    Some(report) => format!("{error}: {}", report.message),
                    None => error.to_string(),
                };
                CancelReason::new(Cause::Peer, text).with_by(self.path().to_owned())
            }
        }
    }
}

/// The endpoint has ended before the block.
async fn settle<O, E, T>(
    outcome: Outcome<Result<T>>,
    terminal: Result<O, CallError<E>>,
    scope: &CancelScope,
) -> Result<(T, O)>
where
    E: std::fmt::Debug + Send + Sync + 'static,
{
    match (outcome, terminal) {
        (Outcome::Done(Ok(value)), Ok(result)) => Ok((value, result)),
        (Outcome::Done(Err(error)), Ok(_)) => Err(error),
        (Outcome::Cancelled(reason), Ok(_)) => Err(cut_off(&reason).await),
        (Outcome::Done(Ok(_)) | Outcome::Cancelled(_), Err(failure)) => Err(failure.into()),
        (Outcome::Done(Err(error)), Err(failure)) => {
            let echo = (error.is_cancelled() && scope.cancel_called()) || PeerEnd::is_in(error.as_std());
            if echo { Err(failure.into()) } else { Err(both(failure.into(), error)) }
        }
    }
}

/// The cancel from outside that cut the block off, as this side's error.
async fn cut_off(reason: &CancelReason) -> Error {
    match checkpoint().await {
        Err(cancelled) => cancelled.into(),
        Ok(()) => Error::msg(format!("the block of a dialog was cut off: {reason}")),
    }
}

/// Both failures, unless one of them is only the cancel that the other one caused.
fn both(first: Error, second: Error) -> Error {
    match (first.is_cancelled(), second.is_cancelled()) {
        (true, _) => second,
        (false, true) => first,
        (false, false) => BothFailed::new(first, second).into(),
    }
}
