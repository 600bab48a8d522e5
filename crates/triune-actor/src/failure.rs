//! From an endpoint's error to a report, and back to the error's own type.
//!
//! Owns what the expansion of `#[endpoint]` needs to know about an error type that it sees only as tokens: whether it can travel as itself,
//! and how to read its texts. Both are found by *autoref specialisation*: the expansion calls a method on a [`Probe`] with as many `&` as
//! there are cases, and method resolution takes the first case whose bounds hold.

use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_scope::{CancelReason, Cancelled};
use triune_wire::{Codec as _, DecodeError, EncodeError, Message, Postcard, Report, ReportKind};

use crate::error::{PeerEnd, RemoteError};

/// Why an endpoint left no value.
#[derive(Debug)]
pub struct Failure {
    pub(crate) report: Box<Report>,
    /// Set when the failure is a cancel that reached the endpoint, or that it passes on.
    pub(crate) cancelled: Option<CancelReason>,
    /// Whether it says that the dialog is over: in a cancelled request that is the cancel, seen from the dialog.
    echo: bool,
}

impl Failure {
    pub(crate) fn new(report: Report) -> Self {
        Self { report: Box::new(report), cancelled: None, echo: false }
    }

    /// Whether a cancel of the request alone explains the failure.
    pub(crate) fn is_by_cancel(&self) -> bool {
        self.echo || self.cancelled.is_some()
    }

    pub(crate) fn protocol(error: &(dyn StdError + 'static)) -> Self {
        let mut report = Report::from_error(error);
        report.kind = ReportKind::Protocol;
        Self::new(report)
    }
}

/// What is known about the error type of one endpoint.
pub struct ErrorVia<E> {
    codec: Option<Codec<E>>,
    describe: fn(&E) -> Failure,
}

/// How an error type travels as itself.
#[derive(Debug)]
pub struct Codec<E> {
    encode: fn(&E) -> Result<Bytes, EncodeError>,
    decode: fn(&[u8]) -> Result<E, DecodeError>,
}

impl<E> ErrorVia<E> {
    /// Brings together what the probes found.
    pub const fn new(codec: Option<Codec<E>>, describe: fn(&E) -> Failure) -> Self {
        Self { codec, describe }
    }

    fn failure(&self, error: &E) -> Failure {
        let mut failure = (self.describe)(error);
        type_name::<E>().clone_into(&mut failure.report.type_name);
        if failure.cancelled.is_none() {
            // An error that cannot be encoded still arrives as a report.
            failure.report.typed = self.codec.as_ref().and_then(|codec| (codec.encode)(error).ok());
        }
        failure
    }

    /// The endpoint's own error, if it travelled and is understood.
    pub(crate) fn read(&self, report: &Report) -> Option<E> {
        let typed = report.typed.as_deref()?;
        (self.codec.as_ref()?.decode)(typed).ok()
    }
}

impl<E> fmt::Debug for ErrorVia<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorVia")
            .field("type", &type_name::<E>())
            .field("typed", &self.codec.is_some())
            .finish()
    }
}

/// Encodes what an endpoint returned.
///
/// # Errors
///
/// The endpoint's failure, or that its value cannot be encoded.
pub fn finish<O: Serialize, E>(result: Result<O, E>, via: ErrorVia<E>) -> Result<Message, Failure> {
    match result {
        Ok(value) => Postcard::to_message(&value).map_err(|error| Failure::protocol(&error)),
        Err(error) => Err(via.failure(&error)),
    }
}

/// Decodes the arguments of a request.
///
/// # Errors
///
/// The bytes are not these arguments.
pub fn decode_arguments<A: DeserializeOwned>(bytes: &Bytes) -> Result<A, Failure> {
    Postcard::decode_shared(bytes).map_err(|error| Failure::protocol(&error))
}

/// The parts of a `Result`, also of an alias of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is called `Result` but is not a `std::result::Result`",
    note = "an endpoint returns a `std::result::Result`, an alias of it, or a plain value"
)]
pub trait ResultParts {
    /// The value.
    type Value;
    /// The error.
    type Error;
}

impl<T, E> ResultParts for Result<T, E> {
    type Value = T;
    type Error = E;
}

/// A question about an error type.
#[derive(Debug)]
pub struct Probe<E>(PhantomData<fn() -> E>);

impl<E> Probe<E> {
    /// The question.
    #[expect(clippy::new_without_default, reason = "only the expansion makes probes")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The error type travels as itself.
pub trait CodecSerde<E> {
    /// How.
    fn codec(&self) -> Option<Codec<E>>;
}

impl<E: Serialize + DeserializeOwned> CodecSerde<E> for Probe<E> {
    fn codec(&self) -> Option<Codec<E>> {
        Some(Codec { encode: |error| triune_wire::to_bytes(error), decode: triune_wire::decode })
    }
}

/// The error type does not travel as itself.
pub trait CodecNone<E> {
    /// Never.
    fn codec(&self) -> Option<Codec<E>>;
}

impl<E> CodecNone<E> for &Probe<E> {
    fn codec(&self) -> Option<Codec<E>> {
        None
    }
}

/// The error is triune's own.
pub trait DescribeTriune<E> {
    /// How to read it.
    fn describe(&self) -> fn(&E) -> Failure;
}

impl DescribeTriune<triune_scope::Error> for &&&Probe<triune_scope::Error> {
    fn describe(&self) -> fn(&triune_scope::Error) -> Failure {
        |error| {
            let mut failure = from_std(error.as_std());
            add_context(&mut failure.report, error);
            failure
        }
    }
}

/// The error is a `std::error::Error`.
pub trait DescribeStd<E> {
    /// How to read it.
    fn describe(&self) -> fn(&E) -> Failure;
}

impl<E: StdError + 'static> DescribeStd<E> for &&Probe<E> {
    fn describe(&self) -> fn(&E) -> Failure {
        |error| from_std(error)
    }
}

/// The error can be shown.
pub trait DescribeDisplay<E> {
    /// How to read it.
    fn describe(&self) -> fn(&E) -> Failure;
}

impl<E: fmt::Display> DescribeDisplay<E> for &Probe<E> {
    fn describe(&self) -> fn(&E) -> Failure {
        // The alternate form, because that is where `anyhow` and its like show the causes.
        |error| Failure::new(Report::new(ReportKind::Error, format!("{error:#}")))
    }
}

/// Nothing is known about the error.
pub trait DescribeAny<E> {
    /// How to read it.
    fn describe(&self) -> fn(&E) -> Failure;
}

impl<E> DescribeAny<E> for Probe<E> {
    fn describe(&self) -> fn(&E) -> Failure {
        |_| Failure::new(Report::new(ReportKind::Error, format!("an error of type {}", type_name::<E>())))
    }
}

fn from_std(error: &(dyn StdError + 'static)) -> Failure {
    let mut report = Report::from_error(error);
    let chain = std::iter::successors(Some(error), |error| (**error).source());
    if let Some(origin) = chain.take(64).find_map(|error| error.downcast_ref::<RemoteError>()) {
        // Passed on: the place of the first failure matters, this actor is only on its way.
        let origin = origin.report();
        report.path.clone_from(&origin.path);
        report.pid = origin.pid;
        report.task.clone_from(&origin.task);
        report.location.clone_from(&origin.location);
        report.backtrace.clone_from(&origin.backtrace);
        report.relays.clone_from(&origin.relays);
        report.relays.push(crate::identity::current_path().to_owned());
    }
    let cancelled = Cancelled::find(error).map(|cancelled| cancelled.reason().clone());
    Failure { report: Box::new(report), cancelled, echo: PeerEnd::is_in(error) }
}

/// Puts the context of a triune error before its chain.
fn add_context(report: &mut Report, error: &triune_scope::Error) {
    let top = error.to_string();
    if top == report.message {
        return;
    }
    let inner = std::mem::replace(&mut report.message, top);
    report.chain.insert(0, inner);
    // Contexts below the top one show only in the full line: the text between the top and the causes.
    let (full, below) = (format!("{error:#}"), report.chain.join(": "));
    let between = full.strip_prefix(&report.message).and_then(|rest| rest.strip_suffix(&below));
    let between = between.unwrap_or_default().trim_matches([':', ' ']);
    if !between.is_empty() {
        report.chain.insert(0, between.to_owned());
    }
}

#[cfg(test)]
mod tests;
