//! Why something is cancelled, as it travels with a CANCEL frame.
//!
//! Owns the wire form only. The reason that tasks see is `triune_scope::CancelReason`; the crates above
//! convert one into the other.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bounded::shorten;
use crate::codec::{DecodeError, known, known_bytes};

const MAX_MESSAGE: usize = 4 * 1024;
const MAX_BY: usize = 1024;

/// What kind of event asked for the cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CancelCause {
    /// Somebody called `cancel`.
    Explicit,
    /// A sibling failed.
    Sibling,
    /// A sibling panicked.
    Panic,
    /// The parent was cancelled or ended.
    Parent,
    /// The program ends.
    Shutdown,
    /// The root received this signal.
    Signal(i32),
    /// The other side of a link ended.
    Peer,
    /// A deadline passed.
    Deadline,
    /// The body is done: a service is no longer needed.
    Finished,
    /// The caller dropped the request without saying why.
    Dropped,
}

/// A cancellation as it travels: what for, in words, and who asked.
///
/// ```
/// use triune_wire::{CancelCause, CancelMessage};
///
/// let message = CancelMessage::new(CancelCause::Deadline, "it took more than 5 s").with_by("/shop");
/// let read = CancelMessage::from_bytes(&message.to_bytes())?;
/// assert_eq!(read, message);
/// assert_eq!(read.to_string(), "it took more than 5 s (by /shop)");
/// # Ok::<(), triune_wire::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelMessage {
    /// What kind of event it was.
    pub cause: CancelCause,
    /// The reason, for humans.
    pub message: String,
    /// Path of the task or actor that asked.
    pub by: Option<String>,
}

impl CancelMessage {
    /// A message without the path of who asked.
    pub fn new(cause: CancelCause, message: impl Into<String>) -> CancelMessage {
        CancelMessage { cause, message: message.into(), by: None }
    }

    /// The same message, with the path of who asked.
    #[must_use]
    pub fn with_by(mut self, by: impl Into<String>) -> CancelMessage {
        self.by = Some(by.into());
        self
    }

    /// The body of a CANCEL frame; long texts are shortened.
    pub fn to_bytes(&self) -> Bytes {
        let mut bounded = self.clone();
        shorten(&mut bounded.message, MAX_MESSAGE);
        bounded.by.iter_mut().for_each(|by| shorten(by, MAX_BY));
        known_bytes(&bounded)
    }

    /// Reads the body of a CANCEL frame.
    ///
    /// # Errors
    /// The body is not a cancel message, or longer than one can be.
    pub fn from_bytes(body: &[u8]) -> Result<CancelMessage, DecodeError> {
        // One that was shortened by us fits with room for its lengths.
        known(&body[..body.len().min(MAX_MESSAGE + MAX_BY + 64)])
    }
}

impl fmt::Display for CancelMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.by {
            Some(by) => write!(f, " (by {by})"),
            None => Ok(()),
        }
    }
}
