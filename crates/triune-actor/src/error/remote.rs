//! What is known here about a failure in another process.

use std::error::Error as StdError;
use std::fmt;

use triune_scope::CancelReason;
use triune_wire::Report;

/// A failure in another process: its texts as a chain of errors, and the [`Report`] with all that was told.
///
/// ```
/// use std::error::Error as _;
/// use triune::actor::CallError;
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn load() -> Result<String> {
///     std::fs::read_to_string("/nowhere").context("cannot load the table")
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("loader").start().await?;
///         let CallError::Remote(remote) = actor.call(load::with()).await.unwrap_err() else { panic!("it failed") };
///         assert_eq!(remote.to_string(), "cannot load the table");
///         let cause = remote.source().expect("its causes have travelled, as texts");
///         assert!(cause.to_string().starts_with("No such file"));
///         Ok(())
///     })
///     .await
/// }
/// ```
pub struct RemoteError(Box<Inner>);

struct Inner {
    report: Report,
    causes: Option<Box<RemoteCause>>,
}

/// One of the causes; only its text has travelled.
struct RemoteCause {
    text: String,
    next: Option<Box<RemoteCause>>,
}

impl RemoteError {
    pub(crate) fn new(report: Report) -> Self {
        let causes = report
            .chain
            .iter()
            .rev()
            .fold(None, |next, text| Some(Box::new(RemoteCause { text: text.clone(), next })));
        Self(Box::new(Inner { report, causes }))
    }

    /// All that was told: kind, type name, texts, location, backtrace, path and process number of the actor, and by whom it was passed on.
    pub fn report(&self) -> &Report {
        &self.0.report
    }

    /// Where it happened, for people.
    pub(crate) fn place(&self) -> impl fmt::Display {
        let Report { path, pid, task, .. } = &self.0.report;
        let mut place = match task {
            Some(endpoint) => format!("`{endpoint}`"),
            None => "an endpoint".to_owned(),
        };
        if let Some(path) = path {
            place.push_str(&format!(" in actor `{path}`"));
        }
        if let Some(pid) = pid {
            place.push_str(&format!(" (pid {pid})"));
        }
        place
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.report.message)
    }
}

impl fmt::Debug for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.report.fmt(f)
    }
}

impl StdError for RemoteError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.causes.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl fmt::Display for RemoteCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RemoteCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for RemoteCause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.next.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// The other side was cancelled. Unlike [`Cancelled`](triune_scope::Cancelled) this is an error here: no scope of this side asked for it.
///
/// ```
/// use triune::actor::CallError;
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn serve() -> Result {
///     triune::sleep_forever().await?;
///     Ok(())
/// }
///
/// #[triune::endpoint]
/// async fn ping() {}
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("service").start().await?;
///         let call = n.spawn({
///             let actor = actor.clone();
///             async move { Ok(actor.call(serve::with()).await.unwrap_err()) }
///         });
///         triune::checkpoint().await?;
///         actor.call(ping::with()).await?; // The call before it has begun by now.
///         actor.cancel("closing time");
///
///         let error = call.await?;
///         let CallError::PeerCancelled(peer) = &error else { panic!("{error}") };
///         assert_eq!((peer.reason().message(), peer.reason().by()), ("closing time", Some("/")));
///         assert!(error.is_peer_cancelled() && !error.is_cancelled(), "no scope of this side was cancelled");
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCancelled {
    actor: Option<String>,
    reason: CancelReason,
}

impl PeerCancelled {
    pub(crate) fn new(actor: Option<String>, reason: CancelReason) -> Self {
        Self { actor, reason }
    }

    /// Why it was cancelled, and by whom.
    pub fn reason(&self) -> &CancelReason {
        &self.reason
    }
}

impl fmt::Display for PeerCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.actor {
            Some(actor) => write!(f, "actor `{actor}` was cancelled")?,
            None => f.write_str("the actor was cancelled")?,
        }
        if let Some(by) = self.reason.by() {
            write!(f, " by `{by}`")?;
        }
        match self.reason.message() {
            "" => write!(f, ": {}", self.reason.cause()),
            message => write!(f, ": {message}"),
        }
    }
}

impl StdError for PeerCancelled {}

/// How the other side of a dialog ended, as far as an item in between can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEnd(String);

impl PeerEnd {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether an error comes from the end of a dialog: then that end is the failure, and the error its echo.
    pub(crate) fn is_in(error: &(dyn StdError + 'static)) -> bool {
        std::iter::successors(Some(error), |error| (**error).source())
            .take(64)
            .any(|error| error.is::<Self>())
    }
}

impl fmt::Display for PeerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for PeerEnd {}
