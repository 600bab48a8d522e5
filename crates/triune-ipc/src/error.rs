//! How links, calls and dialogs end.
//!
//! Owns the error types of the crate. Every one of them is cheap to clone, because one end of a link has to
//! be told to each wait on it.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use triune_wire::{CancelMessage, FrameError, HelloError, Kind, Message, Report};

/// Why a link could not be opened.
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use triune_ipc::{Config, ConnectError, connect};
/// use triune_wire::{BuildId, Hello, HelloError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = |build| Config::new(Hello::new(BuildId::new([build; 16]), "actor", "example"));
///
/// let (one, mut stranger) = UnixStream::pair()?;
/// stranger.write_all(b"HTTP/1.1 400 Bad Request")?;
/// let error = connect(one, config(7)).await.unwrap_err();
/// assert!(matches!(error, ConnectError::NotTriune { .. }));
///
/// let (one, other) = UnixStream::pair()?;
/// let (here, there) = tokio::join!(connect(one, config(7)), connect(other, config(8)));
/// for error in [here.unwrap_err(), there.unwrap_err()] {
///     assert!(matches!(error, ConnectError::Hello(HelloError::Build { .. })));
///     assert!(error.to_string().ends_with("restart the program if it was rebuilt while it ran"));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The two sides cannot talk; the text names both.
    Hello(HelloError),
    /// The first bytes of the other side are not a HELLO.
    #[non_exhaustive]
    NotTriune {
        /// What came instead, at most 16 bytes.
        found: Bytes,
    },
    /// The other side cannot begin, and said why in place of its HELLO.
    Refused(Box<Report>),
    /// The other side went away before its HELLO.
    Closed,
    /// The other side stayed silent.
    #[non_exhaustive]
    Timeout {
        /// How long it had.
        after: Duration,
    },
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Hello(error) => error.fmt(f),
            ConnectError::NotTriune { found } => write!(
                f,
                "the other side is no triune process: this side: HELLO \"TRIU\", other side: \"{}\"",
                found.escape_ascii()
            ),
            ConnectError::Refused(report) => write!(f, "the other side cannot begin: {report}"),
            ConnectError::Closed => f.write_str("the other side closed the link before its HELLO"),
            ConnectError::Timeout { after } => {
                write!(f, "the other side sent no HELLO within {after:?}")
            }
            ConnectError::Io(_) => f.write_str("the socket of the link failed in the handshake"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ConnectError::Hello(error) => error.source(),
            ConnectError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> ConnectError {
        match error.kind() {
            // A peer that dies with unread bytes in its socket resets the connection.
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                ConnectError::Closed
            }
            _ => ConnectError::Io(error),
        }
    }
}

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

/// An item that was not sent. It is handed back by [`into_item`](SendError::into_item).
///
/// ```
/// use triune_ipc::{Request, SendErrorKind};
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
/// let (link, mut incoming) = two_ends().await?; // of a link whose drivers run
/// let (mut dialog, mut sender, _receiver) = link.open(0, Vec::new());
/// let Some(Request::Open(mut theirs)) = incoming.recv().await else { panic!("a dialog was opened") };
/// theirs.responder.started(Vec::new())?;
/// theirs.responder.reply(b"enough".to_vec());
/// assert_eq!(&dialog.ended().await?[..], b"enough");
///
/// let error = sender.send(b"one more".to_vec()).await.unwrap_err();
/// assert!(matches!(error.kind(), SendErrorKind::Ended) && !error.is_full());
/// assert_eq!(&error.into_item()[..], b"one more");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SendError {
    pub(crate) item: Message,
    pub(crate) kind: SendErrorKind,
}

/// Why an item was not sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The dialog is over, or its receiving half over there is gone. The terminal frame tells more.
    Ended,
    /// The caller has cancelled the dialog; only a handler sees this.
    Cancelled(CancelMessage),
    /// The handler has not called `started` yet.
    NotStarted,
    /// Only `try_send`: there is no credit or no room now.
    Full,
    /// The link ended.
    Lost(LinkEnd),
    /// The item is larger than the other side accepts.
    #[non_exhaustive]
    TooLarge {
        /// Length of the item, in bytes.
        len: usize,
        /// The largest length that the other side accepts, in bytes.
        max: usize,
    },
}

impl SendError {
    /// Why the item was not sent.
    pub const fn kind(&self) -> &SendErrorKind {
        &self.kind
    }

    /// The item.
    pub fn into_item(self) -> Bytes {
        self.item.into_bytes()
    }

    /// Whether the item could be sent later.
    pub const fn is_full(&self) -> bool {
        matches!(self.kind, SendErrorKind::Full)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the item was not sent: ")?;
        match self {
            SendErrorKind::Ended => f.write_str("the dialog has ended"),
            SendErrorKind::Cancelled(message) => write!(f, "cancelled: {message}"),
            SendErrorKind::NotStarted => f.write_str("call `started` before the first item"),
            SendErrorKind::Full => f.write_str("no room now"),
            SendErrorKind::Lost(_) => f.write_str("the link ended"),
            SendErrorKind::TooLarge { len, max } => write!(
                f,
                "it has {len} bytes, the other side accepts {max}: raise its limit `max_message` or send the data in \
                 pieces"
            ),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            SendErrorKind::Lost(end) => Some(end),
            _ => None,
        }
    }
}
