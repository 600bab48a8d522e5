//! Why a link could not be opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use triune_wire::{HelloError, Report};

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
