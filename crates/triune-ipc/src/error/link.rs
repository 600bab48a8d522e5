//! How a link ended, and what the other side did wrong if that was the reason.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use triune_wire::{FrameError, Kind, Report};

/// How a link ended. The first end wins and every wait on the link is told the same.
///
/// ```
/// use std::sync::Arc;
/// use triune_ipc::LinkEnd;
/// use triune_wire::{Report, ReportKind};
///
/// let refused = LinkEnd::Refused(Arc::new(Report::new(ReportKind::Protocol, "unexpected ITEM for id 7")));
/// assert_eq!(refused.to_string(), "the other side ended the link: unexpected ITEM for id 7");
/// assert_eq!(LinkEnd::Goodbye.to_string(), "the link ended in good order");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LinkEnd {
    /// One of the sides said GOODBYE.
    Goodbye,
    /// The other side closed its socket without a GOODBYE: it died, or is dying.
    Eof,
    /// The socket failed.
    Io(Arc<io::Error>),
    /// The other side broke the rules of the protocol.
    Protocol(Arc<ProtocolError>),
    /// The other side ended the link and said why: it found that *this* side broke the rules.
    Refused(Arc<Report>),
    /// The other side gave no sign of life although it was asked for one.
    #[non_exhaustive]
    Stalled {
        /// How long it was silent.
        silent: Duration,
    },
    /// The process at the other end died, and this is what is known of it.
    Died(Arc<dyn Error + Send + Sync>),
    /// This side closed the link, or dropped its driver.
    Closed,
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkEnd::Goodbye => f.write_str("the link ended in good order"),
            LinkEnd::Eof => f.write_str("the other side closed the link without a goodbye"),
            LinkEnd::Io(_) => f.write_str("the socket of the link failed"),
            LinkEnd::Protocol(error) => error.fmt(f),
            LinkEnd::Refused(report) => write!(f, "the other side ended the link: {report}"),
            LinkEnd::Stalled { silent } => {
                write!(f, "the other side gave no sign of life for {silent:?}: it may be stopped")
            }
            LinkEnd::Died(error) => error.fmt(f),
            LinkEnd::Closed => f.write_str("this side closed the link"),
        }
    }
}

impl Error for LinkEnd {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LinkEnd::Io(error) => Some(&**error),
            // Their own text is shown above, so the chain goes on behind them.
            LinkEnd::Protocol(error) => error.source(),
            LinkEnd::Died(error) => error.source(),
            _ => None,
        }
    }
}

/// What the other side did against the protocol.
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use triune_ipc::{Config, LinkEnd, ProtocolError, connect};
/// use triune_wire::{BuildId, Header, Hello, Kind};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hello = Hello::new(BuildId::new([7; 16]), "actor", "example");
/// let mut said = Vec::new();
/// Header::new(Kind::Hello, 0).frame(&hello.to_bytes()?, &mut said);
/// Header::new(Kind::Reply, 9).to_caller().frame(b"nobody has asked", &mut said);
///
/// let (one, mut liar) = UnixStream::pair()?;
/// liar.write_all(&said)?;
/// let (_link, driver, _incoming) = connect(one, Config::new(hello)).await?;
/// let LinkEnd::Protocol(error) = driver.run().await else { panic!("no such call was made") };
/// assert!(matches!(*error, ProtocolError::Unexpected { kind: Kind::Reply, id: 9, .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Its bytes are not frames.
    Frame(FrameError),
    /// A frame of this kind for an id that cannot have one now.
    #[non_exhaustive]
    Unexpected {
        /// What the frame was.
        kind: Kind,
        /// The id that it named.
        id: u64,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// It sent more than it may: requests in flight, items or bytes of a window, pings.
    #[non_exhaustive]
    Overrun {
        /// The frame that was too much.
        kind: Kind,
        /// The id that it named.
        id: u64,
        /// Which bound it broke.
        bound: &'static str,
    },
    /// The body of a frame cannot be read.
    #[non_exhaustive]
    Body {
        /// What the frame was.
        kind: Kind,
        /// What is wrong with its body.
        reason: String,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other side broke the protocol: ")?;
        match self {
            ProtocolError::Frame(error) => error.fmt(f),
            ProtocolError::Unexpected { kind, id, reason } => {
                write!(f, "unexpected {kind} for id {id}: {reason}")
            }
            ProtocolError::Overrun { kind, id, bound } => write!(f, "{kind} for id {id} exceeds {bound}"),
            ProtocolError::Body { kind, reason } => write!(f, "malformed body of {kind}: {reason}"),
        }
    }
}

impl Error for ProtocolError {}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> ProtocolError {
        ProtocolError::Frame(error)
    }
}
