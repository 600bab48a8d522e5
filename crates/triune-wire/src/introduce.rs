//! Who is at the other end of a socket that is passed on.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bounded::shorten;
use crate::codec::{DecodeError, known, known_bytes};

const MAX_NAME: usize = 1024;

pub mod target {
    //! Targets that are in no registry: what the parent of an actor asks of the actor itself.

    /// The least of them. A registry has fewer entries.
    pub const RESERVED: u32 = u32::MAX - 1;
    /// "Somebody will be introduced to you." Answered when an INTRODUCE can be taken. No arguments, no result.
    pub const EXPECT: u32 = u32::MAX - 1;
    /// "Have you met them?" The argument is the path that the INTRODUCE gave, in UTF-8. Answered, without a result, when the link to that
    /// process is up; or by an ERROR that says why it is not.
    pub const MEET: u32 = u32::MAX;
}

/// The body of an INTRODUCE frame.
///
/// ```
/// use triune_wire::IntroduceMessage;
///
/// let message = IntroduceMessage::new("/shop/ledger");
/// assert_eq!(IntroduceMessage::from_bytes(&message.to_bytes())?.name, "/shop/ledger");
/// # Ok::<(), triune_wire::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntroduceMessage {
    /// The path of the process that holds the other end.
    pub name: String,
}

impl IntroduceMessage {
    /// A message with this path.
    pub fn new(name: impl Into<String>) -> IntroduceMessage {
        IntroduceMessage { name: name.into() }
    }

    /// The body of the frame; a long path is shortened.
    pub fn to_bytes(&self) -> Bytes {
        let mut bounded = self.clone();
        shorten(&mut bounded.name, MAX_NAME);
        known_bytes(&bounded)
    }

    /// Reads the body of the frame.
    ///
    /// # Errors
    /// The body is not such a message, or longer than one can be.
    pub fn from_bytes(body: &[u8]) -> Result<IntroduceMessage, DecodeError> {
        known(&body[..body.len().min(MAX_NAME + 64)])
    }
}
