//! The endpoint's side of a dialog before it has started: the type state.
//!
//! 1. [`Context::started`] takes the context by value, so it is called at most once and nothing can be streamed before it.
//! 2. The caller learns of an endpoint that returns without calling it as a protocol error that names the endpoint.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_wire::{Codec, Postcard};

use crate::dialog::{Dialog, EndpointDialog};
use crate::error::DialogError;

/// Names the type of the value that an endpoint starts its dialog with, in the type of a [`Context`].
#[derive(Debug)]
pub struct Started<T>(PhantomData<fn() -> T>);

/// Names the type of the items that an endpoint sends, in the type of a [`Context`].
#[derive(Debug)]
pub struct Out<T>(PhantomData<fn() -> T>);

/// Names the type of the items that an endpoint receives, in the type of a [`Context`].
#[derive(Debug)]
pub struct In<T>(PhantomData<fn() -> T>);

/// The endpoint's end of a dialog that has not started yet: the first parameter of a dialog endpoint.
///
/// A dialog is two linked tasks, one in each process. An error, a cancel, a panic or the death of either side ends the other. It begins
/// when the endpoint calls [`started`](Self::started), which gives the caller its first value and the endpoint the open [`Dialog`].
///
/// Compared to a channel: both ends live exactly as long as their two tasks, and each learns why the other is gone.
///
/// ```
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn doubled(cx: Context<Started<String>, Out<u64>, In<u32>>) -> Result<usize> {
///     let mut dialog = cx.started("send me numbers".to_owned()).await?;
///     let mut count = 0;
///     while let Some(number) = dialog.recv().await? {
///         dialog.send(u64::from(number) * 2).await?;
///         count += 1;
///     }
///     Ok(count)
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("doubler").start().await?;
///         let talk = actor.context(doubled::with(), async |invitation, mut dialog| {
///             assert_eq!(invitation, "send me numbers");
///             dialog.send(21).await?;
///             Ok(dialog.recv().await?)
///         });
///         assert_eq!(talk.await?, (Some(42), 1));
///         Ok(())
///     })
///     .await
/// }
/// ```
///
/// Nothing can be streamed before the dialog has started:
///
/// ```compile_fail,E0599
/// use triune_actor::{Context, In, Out, Started};
///
/// async fn hasty(mut cx: Context<Started<()>, Out<u64>, In<u32>>) -> triune_scope::Result {
///     cx.send(1).await?;
///     Ok(())
/// }
/// ```
///
/// And it starts once:
///
/// ```compile_fail,E0382
/// use triune_actor::{Context, In, Out, Started};
///
/// async fn eager(cx: Context<Started<u8>, Out<u64>, In<u32>>) -> triune_scope::Result {
///     cx.started(1).await?;
///     cx.started(2).await?;
///     Ok(())
/// }
/// ```
#[must_use = "an endpoint that drops its context without `started` fails its caller"]
pub struct Context<S, O, I> {
    raw: EndpointDialog,
    types: PhantomData<(S, O, I)>,
}

impl<S, O, I> Context<Started<S>, Out<O>, In<I>>
where
    S: Serialize,
    O: Serialize,
    I: DeserializeOwned,
{
    /// Starts the dialog: the caller's block begins with `value`, and items may flow both ways.
    ///
    /// # Cancel safety
    ///
    /// When it returns [`Cancelled`](triune_scope::Cancelled), nothing was sent.
    ///
    /// # Errors
    ///
    /// [`DialogError`] if the value cannot be encoded or is too large, if the scope is cancelled, or if the caller is gone.
    pub async fn started(self, value: S) -> Result<Dialog<O, I>, DialogError> {
        triune_scope::__primitive::checkpoint_if_cancelled().await.map_err(DialogError::Cancelled)?;
        let body = Postcard::to_message(&value).map_err(DialogError::Encode)?;
        self.raw.start(body).await
    }
}

impl<S, O, I> fmt::Debug for Context<S, O, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// The types inside of a [`Context`], for the expansion of `#[endpoint]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the context of a dialog",
    label = "expected `Context<Started<S>, Out<O>, In<I>>`",
    note = "`Out` is what the endpoint sends, `In` is what it receives"
)]
pub trait ContextParts {
    /// What the endpoint starts with.
    type Started;
    /// What the endpoint sends.
    type Out;
    /// What the endpoint receives.
    type In;
    /// The context of an incoming dialog.
    fn new(raw: EndpointDialog) -> Self;
}

impl<S, O, I> ContextParts for Context<Started<S>, Out<O>, In<I>> {
    type Started = S;
    type Out = O;
    type In = I;

    fn new(raw: EndpointDialog) -> Self {
        Self { raw, types: PhantomData }
    }
}
