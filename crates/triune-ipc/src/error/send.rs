//! Why an item was not sent.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use triune_wire::{CancelMessage, Message};

use super::LinkEnd;

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
