//! What a caller wants: an endpoint and its encoded arguments, with the types of the answer.
//!
//! Owns the descriptions that `name::with(..)` returns. They do nothing by themselves. Arguments are encoded once, when the description
//! is made; what could not be encoded is reported by the call.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_wire::{Codec, DecodeError, EncodeError, Message, Postcard};

use crate::failure::ErrorVia;
use crate::registry::Entry;

/// A described call of an endpoint that answers with `O` or fails with `E`. Made by `name::with(..)`, used up by
/// [`Portal::call`](crate::Portal::call).
#[must_use = "this only describes the call; hand it to `Portal::call`"]
pub struct Call<O, E> {
    pub(crate) request: Request<O, E>,
}

/// A described dialog with an endpoint: it starts with `S`, sends `Out`, receives `In`, and ends with `O` or `E`. Made by
/// `name::with(..)`, used up by [`Portal::context`](crate::Portal::context).
#[must_use = "this only describes the dialog; hand it to `Portal::context`"]
pub struct DialogCall<S, Out, In, O, E> {
    pub(crate) request: Request<O, E>,
    pub(crate) decode_started: fn(&Bytes) -> Result<S, DecodeError>,
    items: PhantomData<fn() -> (Out, In)>,
}

/// The part that both have in common.
pub(crate) struct Request<O, E> {
    pub(crate) entry: &'static Entry,
    pub(crate) arguments: Result<Message, EncodeError>,
    pub(crate) decode_value: fn(&Bytes) -> Result<O, DecodeError>,
    pub(crate) via: ErrorVia<E>,
}

/// Describes a call; used by the expansion of `#[endpoint]`.
pub fn call<A, O, E>(entry: &'static Entry, arguments: A, via: ErrorVia<E>) -> Call<O, E>
where
    A: Serialize,
    O: DeserializeOwned,
{
    Call { request: Request::new(entry, &arguments, via) }
}

/// Describes a dialog; used by the expansion of `#[endpoint]`.
pub fn dialog_call<A, S, Out, In, O, E>(
    entry: &'static Entry,
    arguments: A,
    via: ErrorVia<E>,
) -> DialogCall<S, Out, In, O, E>
where
    A: Serialize,
    S: DeserializeOwned,
    O: DeserializeOwned,
{
    DialogCall {
        request: Request::new(entry, &arguments, via),
        decode_started: Postcard::decode_shared,
        items: PhantomData,
    }
}

impl<O: DeserializeOwned, E> Request<O, E> {
    fn new<A: Serialize>(entry: &'static Entry, arguments: &A, via: ErrorVia<E>) -> Self {
        Self { entry, arguments: Postcard::to_message(arguments), decode_value: Postcard::decode_shared, via }
    }
}

impl<O, E> Request<O, E> {
    /// The arguments, once: what is left afterwards tells how to read the answer.
    pub(crate) fn take_arguments(&mut self) -> Result<Message, EncodeError> {
        std::mem::replace(&mut self.arguments, Ok(Message::default()))
    }
}

impl<O, E> fmt::Debug for Request<O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("endpoint", &self.entry).finish_non_exhaustive()
    }
}

impl<O, E> fmt::Debug for Call<O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(self.request.entry).finish()
    }
}

impl<S, Out, In, O, E> fmt::Debug for DialogCall<S, Out, In, O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DialogCall").field(self.request.entry).finish()
    }
}
