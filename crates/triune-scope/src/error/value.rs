//! The concrete error type: any application error with context, as easy as a boxed one.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use super::interop::WithContext;
use super::source::Source;
use super::{Cancelled, ErrorGroup, PanicError, Timeout};

/// What every fallible function of triune returns.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An application error, an [`ErrorGroup`], a cancel, a panic, or the death of a process.
///
/// Every `std::error::Error` converts into it by `?`; the original is found again with
/// [`downcast_ref`](Self::downcast_ref). It is one pointer wide. `{}` prints one line, `{:#}` the line with its
/// causes, `{:?}` the whole report.
///
/// Like `anyhow::Error` it is not itself a `std::error::Error`; by `?` it converts into
/// `Box<dyn std::error::Error + Send + Sync>` and, with the features of these names, into `anyhow::Error` and
/// `eyre::Report`.
///
/// ```
/// use triune_scope::{Context as _, Error, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     text.parse().with_context(|| format!("`{text}` is no port"))
/// }
///
/// let error = port("x").unwrap_err();
/// assert_eq!(error.to_string(), "`x` is no port");
/// assert_eq!(format!("{error:#}"), "`x` is no port: invalid digit found in string");
/// assert!(error.is::<std::num::ParseIntError>() && !error.is_cancelled() && !error.is_timeout());
/// assert_eq!(error.chain().count(), 1);
/// assert!(error.downcast::<std::num::ParseIntError>().is_ok());
///
/// let boxed: Box<dyn std::error::Error + Send + Sync> = Error::msg("nothing there").into();
/// assert_eq!(Error::from_boxed(boxed).to_string(), "nothing there");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    /// The outermost is the last.
    context: Vec<Cow<'static, str>>,
    source: Source,
}

impl Error {
    /// Wraps an error.
    pub fn new<E: StdError + Send + Sync + 'static>(error: E) -> Self {
        Self::from_source(Source::new(error))
    }

    /// Wraps a boxed error. An `Error` that was boxed comes back as it was.
    ///
    /// With the features `anyhow` and `eyre`, their errors are better kept with `Error::from_anyhow` and
    /// `Error::from_eyre`: boxed by them, they cannot be downcast any more.
    pub fn from_boxed(error: Box<dyn StdError + Send + Sync>) -> Self {
        match error.downcast::<WithContext>() {
            Ok(own) => own.0,
            Err(error) => Self::from_source(Source::boxed(error)),
        }
    }

    /// Wraps an error of `anyhow`, which is kept as it is. `?` cannot do it, because `anyhow::Error` may become a
    /// `std::error::Error` one day: write `.map_err(Error::from_anyhow)?`.
    #[cfg(feature = "anyhow")]
    pub fn from_anyhow(error: anyhow::Error) -> Self {
        Self::from_source(Source::Anyhow(error))
    }

    /// Wraps a report of `eyre`, which is kept as it is. `?` cannot do it, because `eyre::Report` may become a
    /// `std::error::Error` one day: write `.map_err(Error::from_eyre)?`.
    #[cfg(feature = "eyre")]
    pub fn from_eyre(report: eyre::Report) -> Self {
        Self::from_source(Source::Eyre(report))
    }

    fn from_source(source: Source) -> Self {
        Self(Box::new(Inner { context: Vec::new(), source }))
    }

    pub(super) fn into_source(self) -> Source {
        self.0.source
    }

    /// The context, innermost first, and the wrapped error.
    #[cfg(any(feature = "anyhow", feature = "eyre"))]
    pub(super) fn into_parts(self) -> (Vec<Cow<'static, str>>, Source) {
        (self.0.context, self.0.source)
    }

    pub(super) fn has_context(&self) -> bool {
        !self.0.context.is_empty()
    }

    /// The context, innermost first.
    pub(super) fn contexts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.context.iter().map(|context| &**context)
    }

    /// An error that is only a text: lowercase, without a final period.
    pub fn msg(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Message(message.into()))
    }

    pub(crate) fn cancelled(reason: crate::CancelReason) -> Self {
        Self::new(Cancelled::new(reason))
    }

    /// Says what was being done when the error happened.
    #[must_use = "the error is returned, not changed in place"]
    pub fn context(mut self, context: impl Into<Cow<'static, str>>) -> Self {
        self.0.context.push(context.into());
        self
    }

    /// The error and its causes, without the added context.
    pub fn chain(&self) -> Chain<'_> {
        Chain { next: Some(self.as_std()) }
    }

    /// The error that was wrapped.
    pub fn as_std(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.0.source.as_std()
    }

    /// Whether the wrapped error, or one of its causes, is an `E`.
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// The wrapped error, or the first of its causes, that is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.chain().find_map(|error| error.downcast_ref::<E>())
    }

    /// The wrapped error by value.
    ///
    /// # Errors
    ///
    /// The unchanged error when it is not an `E`.
    pub fn downcast<E: StdError + Send + Sync + 'static>(self) -> Result<E, Self> {
        let Inner { context, source } = *self.0;
        match source.downcast::<E>() {
            Ok(error) => Ok(error),
            Err(source) => Err(Self(Box::new(Inner { context, source }))),
        }
    }

    /// The group, if the error is one: what a nursery returns when something in it failed.
    pub fn group(&self) -> Option<&ErrorGroup> {
        self.as_std().downcast_ref()
    }

    /// The cancel, if the error is one or was caused by one. A group is one if all of its members are.
    pub fn as_cancelled(&self) -> Option<&Cancelled> {
        Cancelled::find(self.as_std())
    }

    /// Whether the error is a cancel, or was caused by one.
    pub fn is_cancelled(&self) -> bool {
        self.as_cancelled().is_some()
    }

    /// Whether the error is a passed deadline, or was caused by one: see [`fail_after`](crate::fail_after).
    pub fn is_timeout(&self) -> bool {
        self.is::<Timeout>()
    }

    /// The error without the cancels in it; `None` if nothing else is there.
    pub(crate) fn without_cancels(self) -> Option<Self> {
        // What nearly every cancelled child leaves.
        if self.0.context.is_empty() && self.as_std().is::<Cancelled>() {
            return None;
        }
        if self.group().is_none() {
            return (!self.is_cancelled()).then_some(self);
        }
        let Inner { context, source } = *self.0;
        match source.downcast::<ErrorGroup>() {
            Ok(group) => {
                let source = Source::new(group.without_cancels()?);
                Some(Self(Box::new(Inner { context, source })))
            }
            Err(source) => Some(Self(Box::new(Inner { context, source }))),
        }
    }

    /// Whether the error is a panic that became an error.
    pub fn is_panic(&self) -> bool {
        self.is::<PanicError>()
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (context, source) = (&self.0.context, self.as_std());
        if !f.alternate() {
            return match context.last() {
                Some(context) => f.write_str(context),
                None => write!(f, "{source}"),
            };
        }
        for context in context.iter().rev() {
            write!(f, "{context}: ")?;
        }
        write!(f, "{source}")?;
        for cause in causes(source) {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (context, source) = (&self.0.context, self.as_std());
        let mut lines: Vec<String> =
            context.iter().rev().map(|context| context.clone().into_owned()).collect();
        match source.downcast_ref::<ErrorGroup>() {
            Some(group) => lines.push(group.report().trim_end().to_owned()),
            None => {
                lines.push(detailed(source));
                lines.extend(causes(source).map(detailed));
            }
        }
        let mut lines = lines.into_iter();
        f.write_str(&lines.next().unwrap_or_default())?;
        for line in lines {
            // What has several lines stays together.
            write!(f, "\n  caused by: {}", line.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

/// The line of an error in a report: that of a cancel tells where it came from, that of a timeout where it was set.
fn detailed(error: &(dyn StdError + 'static)) -> String {
    let cancelled = error.downcast_ref::<Cancelled>().map(|cancelled| format!("{cancelled:#}"));
    let timeout = || error.downcast_ref::<Timeout>().map(|timeout| format!("{timeout:#}"));
    cancelled.or_else(timeout).unwrap_or_else(|| error.to_string())
}

/// The causes of an error as a person should read them: not the members of a group, not markers.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let first = if error.is::<ErrorGroup>() { None } else { error.source() };
    Chain { next: first }.filter(|cause| !cause.is::<super::ReportedBy>())
}

/// An error and its causes, outermost first.
#[derive(Debug, Clone)]
pub struct Chain<'a> {
    next: Option<&'a (dyn StdError + 'static)>,
}

impl<'a> Iterator for Chain<'a> {
    type Item = &'a (dyn StdError + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let error = self.next?;
        self.next = error.source();
        Some(error)
    }
}

/// Adds context to the error of a `Result`, or makes an error of a missing value.
///
/// ```
/// use triune_scope::{Context as _, Result};
///
/// fn first(words: &[&str]) -> Result<u32> {
///     let word = words.first().context("no words")?;
///     word.parse().context("the first word is no number")
/// }
///
/// assert_eq!(first(&[]).unwrap_err().to_string(), "no words");
/// assert_eq!(first(&["x"]).unwrap_err().to_string(), "the first word is no number");
/// ```
pub trait Context<T> {
    /// Says what was being done.
    ///
    /// # Errors
    ///
    /// The same error, with the context.
    fn context(self, context: impl Into<Cow<'static, str>>) -> Result<T>;

    /// Says what was being done, in a text that is only made when it failed.
    ///
    /// # Errors
    ///
    /// The same error, with the context.
    fn with_context<C: Into<Cow<'static, str>>>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context(self, context: impl Into<Cow<'static, str>>) -> Result<T> {
        self.map_err(|error| error.into().context(context))
    }

    fn with_context<C: Into<Cow<'static, str>>>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| error.into().context(context()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, context: impl Into<Cow<'static, str>>) -> Result<T> {
        self.ok_or_else(|| Error::msg(context))
    }

    fn with_context<C: Into<Cow<'static, str>>>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.ok_or_else(|| Error::msg(context()))
    }
}

/// An error that is only a text.
#[derive(Debug)]
struct Message(Cow<'static, str>);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Message {}
