//! The way to and from other error types: boxed errors, `anyhow`, `eyre`, and the bound of
//! [`nursery_with`](crate::nursery_with).

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;

use super::Error;

/// An error type that [`nursery_with`](crate::nursery_with) takes: it holds an [`Error`], and it can be boxed.
///
/// Nobody implements it by hand; every type has it that is `Send + 'static` and has
///
/// * `From<Error>`: how the group of errors, or a cancel, arrives. An enum has a variant for it;
/// * `Into<Box<dyn std::error::Error + Send + Sync>>`: how the error becomes a member of the group. Every
///   `std::error::Error` has it.
///
/// `Error` itself and `Box<dyn std::error::Error + Send + Sync>` are such types, with the features of these names also
/// `anyhow::Error` and `eyre::Report`; those are kept as they are, with their backtraces.
///
/// A cancel is recognised by [`Cancelled`](crate::Cancelled) in the chain of sources: an enum that carries one shows it
/// in `source()`.
pub trait NurseryError: From<Error> + Into<Box<dyn StdError + Send + Sync>> + Send + 'static {
    /// The error as a member of a group.
    fn into_error(self) -> Error;
}

impl<E: From<Error> + Into<Box<dyn StdError + Send + Sync>> + Send + 'static> NurseryError for E {
    fn into_error(self) -> Error {
        // A choice by type, not by value: the compiler leaves one branch.
        let mut slot = Some(self);
        let any: &mut dyn Any = &mut slot;
        if let Some(own) = any.downcast_mut::<Option<Error>>().and_then(Option::take) {
            return own;
        }
        #[cfg(feature = "anyhow")]
        if let Some(error) = any.downcast_mut::<Option<anyhow::Error>>().and_then(Option::take) {
            return Error::from_anyhow(error);
        }
        #[cfg(feature = "eyre")]
        if let Some(report) = any.downcast_mut::<Option<eyre::Report>>().and_then(Option::take) {
            return Error::from_eyre(report);
        }
        let foreign = slot.expect("nobody has taken it");
        Error::from_boxed(foreign.into())
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        if error.has_context() { Box::new(WithContext(error)) } else { error.into_source().into_boxed() }
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        Box::<dyn StdError + Send + Sync>::from(error)
    }
}

/// For code that takes errors by reference, and for the `#[from]` of derive macros, which look for `source()`.
impl Deref for Error {
    type Target = dyn StdError + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        self.as_std()
    }
}

impl AsRef<dyn StdError + Send + Sync + 'static> for Error {
    fn as_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.as_std()
    }
}

#[cfg(feature = "anyhow")]
impl From<Error> for anyhow::Error {
    /// The wrapped error keeps its type, so that `anyhow` can downcast it; the context goes along.
    fn from(error: Error) -> Self {
        let (context, source) = error.into_parts();
        context.into_iter().fold(source.into_anyhow(), Self::context)
    }
}

#[cfg(feature = "eyre")]
impl From<Error> for eyre::Report {
    /// The wrapped error keeps its type, so that `eyre` can downcast it; the context goes along.
    fn from(error: Error) -> Self {
        let (context, source) = error.into_parts();
        context.into_iter().fold(source.into_eyre(), Self::wrap_err)
    }
}

/// The error with its context, for foreign code that wants a `std::error::Error`.
#[derive(Debug)]
pub(super) struct WithContext(pub(super) Error);

impl fmt::Display for WithContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outermost_first = self.0.contexts().rev();
        f.write_str(outermost_first.next().unwrap_or_default())?;
        outermost_first.try_for_each(|context| write!(f, ": {context}"))
    }
}

impl StdError for WithContext {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.0.as_std())
    }
}
