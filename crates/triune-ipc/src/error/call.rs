//! How a request ended, when not with a result.

use std::error::Error;
use std::fmt;

use triune_wire::{CancelMessage, Report};

use super::LinkEnd;

/// How a call or a dialog ended, when not with a result.
///
/// ```
/// use triune_ipc::CallEnd;
/// use triune_wire::ReportKind;
/// # use triune_ipc::{Config, Incoming, Link, connect};
/// # use triune_wire::{BuildId, Hello};
/// # async fn two_ends() -> Result<(Link, Incoming), Box<dyn std::error::Error>> {
/// #     let (one, other) = std::os::unix::net::UnixStream::pair()?;
/// #     let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
/// #     let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
/// #     tokio::spawn(async { tokio::join!(caller.1.run(), callee.1.run()) });
/// #     Ok((caller.0, callee.2))
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let (link, incoming) = two_ends().await?; // of a link whose drivers run
/// drop(incoming); // This side serves nothing.
/// let Err(CallEnd::Failed(report)) = link.call(0, Vec::new()).await else { panic!("nobody can answer") };
/// assert_eq!(report.kind, ReportKind::Unknown);
///
/// let too_much = vec![0; 1 + link.peer().limits.max_message as usize];
/// let error = link.call(0, too_much).await.unwrap_err();
/// assert!(matches!(error, CallEnd::TooLarge { max, .. } if max == 64 << 20));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CallEnd {
    /// The other side answered with a failure. A request that was cancelled over there ends so too, with
    /// [`ReportKind::Cancelled`](triune_wire::ReportKind::Cancelled).
    Failed(Box<Report>),
    /// It was cancelled: before the other side could see it, or (in a handler) by the caller.
    Cancelled(CancelMessage),
    /// The link ended while the other side had the request, or may have had it.
    Lost(LinkEnd),
    /// The link ended before any byte of the request was written: the other side provably never saw it.
    NotSent(LinkEnd),
    /// The message is larger than the other side accepts; nothing was sent.
    #[non_exhaustive]
    TooLarge {
        /// Length of the message, in bytes.
        len: usize,
        /// The largest length that the other side accepts, in bytes.
        max: usize,
    },
}

impl CallEnd {
    /// How the link ended, if that was the reason.
    pub const fn link_end(&self) -> Option<&LinkEnd> {
        match self {
            CallEnd::Lost(end) | CallEnd::NotSent(end) => Some(end),
            _ => None,
        }
    }
}

impl fmt::Display for CallEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallEnd::Failed(report) => report.fmt(f),
            CallEnd::Cancelled(message) => write!(f, "cancelled: {message}"),
            CallEnd::Lost(_) => f.write_str("the link ended before the answer came"),
            CallEnd::NotSent(_) => f.write_str("the link ended before the request was sent"),
            CallEnd::TooLarge { len, max } => write!(
                f,
                "the message has {len} bytes, the other side accepts {max}: raise its limit `max_message` or send \
                 the data in pieces"
            ),
        }
    }
}

impl Error for CallEnd {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CallEnd::Lost(end) | CallEnd::NotSent(end) => Some(end),
            _ => None,
        }
    }
}
