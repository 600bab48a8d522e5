//! What an [`Error`](super::Error) wraps: a boxed error, or a report of `anyhow` or `eyre` kept as it came.

use std::any::Any;
use std::error::Error as StdError;
#[cfg(feature = "eyre")]
use std::fmt;

use super::Cancelled;

pub(super) type Boxed = Box<dyn StdError + Send + Sync>;

pub(super) enum Source {
    Std {
        error: Boxed,
        /// How the other error crates take it in, if its type is known: they can downcast only what they boxed.
        #[cfg(feature = "anyhow")]
        to_anyhow: Option<fn(Boxed) -> anyhow::Error>,
        #[cfg(feature = "eyre")]
        to_eyre: Option<fn(Boxed) -> eyre::Report>,
    },
    /// Not boxed: a cancel of many makes one for each.
    Cancelled(Cancelled),
    #[cfg(feature = "anyhow")]
    Anyhow(anyhow::Error),
    #[cfg(feature = "eyre")]
    Eyre(eyre::Report),
}

impl Source {
    pub(super) fn new<E: StdError + Send + Sync + 'static>(error: E) -> Self {
        match cast(error) {
            Ok(cancelled) => Self::Cancelled(cancelled),
            Err(error) => Self::of(error),
        }
    }

    fn of<E: StdError + Send + Sync + 'static>(error: E) -> Self {
        Self::Std {
            error: Box::new(error),
            #[cfg(feature = "anyhow")]
            to_anyhow: Some(|error| match error.downcast::<E>() {
                Ok(error) => anyhow::Error::new(*error),
                Err(error) => anyhow::Error::from_boxed(error),
            }),
            #[cfg(feature = "eyre")]
            to_eyre: Some(|error| match error.downcast::<E>() {
                Ok(error) => eyre::Report::new(*error),
                Err(error) => eyre::Report::new(Opaque(error)),
            }),
        }
    }

    pub(super) fn boxed(error: Boxed) -> Self {
        Self::Std {
            error,
            #[cfg(feature = "anyhow")]
            to_anyhow: None,
            #[cfg(feature = "eyre")]
            to_eyre: None,
        }
    }

    pub(super) fn as_std(&self) -> &(dyn StdError + Send + Sync + 'static) {
        match self {
            Self::Std { error, .. } => &**error,
            Self::Cancelled(cancelled) => cancelled,
            #[cfg(feature = "anyhow")]
            Self::Anyhow(error) => &**error,
            #[cfg(feature = "eyre")]
            Self::Eyre(report) => &**report,
        }
    }

    pub(super) fn into_boxed(self) -> Boxed {
        match self {
            Self::Std { error, .. } => error,
            Self::Cancelled(cancelled) => Box::new(cancelled),
            #[cfg(feature = "anyhow")]
            Self::Anyhow(error) => error.into(),
            #[cfg(feature = "eyre")]
            Self::Eyre(report) => report.into(),
        }
    }

    pub(super) fn downcast<E: StdError + Send + Sync + 'static>(self) -> Result<E, Self> {
        match self {
            // Looked at first, so that a refusal leaves everything as it was.
            Self::Std { ref error, .. } if !error.is::<E>() => Err(self),
            Self::Std { error, .. } => error.downcast::<E>().map(|error| *error).map_err(Self::boxed),
            Self::Cancelled(cancelled) => cast(cancelled).map_err(Self::Cancelled),
            #[cfg(feature = "anyhow")]
            Self::Anyhow(error) => error.downcast::<E>().map_err(Self::Anyhow),
            #[cfg(feature = "eyre")]
            Self::Eyre(report) => report.downcast::<E>().map_err(Self::Eyre),
        }
    }

    #[cfg(feature = "anyhow")]
    pub(super) fn into_anyhow(self) -> anyhow::Error {
        match self {
            Self::Anyhow(error) => error,
            Self::Std { error, to_anyhow: Some(convert), .. } => convert(error),
            Self::Cancelled(cancelled) => anyhow::Error::new(cancelled),
            other => anyhow::Error::from_boxed(other.into_boxed()),
        }
    }

    #[cfg(feature = "eyre")]
    pub(super) fn into_eyre(self) -> eyre::Report {
        match self {
            Self::Eyre(report) => report,
            Self::Std { error, to_eyre: Some(convert), .. } => convert(error),
            Self::Cancelled(cancelled) => eyre::Report::new(cancelled),
            other => eyre::Report::new(Opaque(other.into_boxed())),
        }
    }
}

/// The same value under another name of its type, if it is one.
fn cast<From: 'static, Into: 'static>(value: From) -> Result<Into, From> {
    // A choice by type, not by value: the compiler leaves one branch.
    let mut slot = Some(value);
    let any: &mut dyn Any = &mut slot;
    match any.downcast_mut::<Option<Into>>().and_then(Option::take) {
        Some(same) => Ok(same),
        None => Err(slot.expect("nobody has taken it")),
    }
}

/// A boxed error as a sized one.
#[cfg(feature = "eyre")]
struct Opaque(Boxed);

#[cfg(feature = "eyre")]
impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "eyre")]
impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(feature = "eyre")]
impl StdError for Opaque {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
