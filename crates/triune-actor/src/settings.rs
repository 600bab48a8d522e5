//! What the two sides of a start agree on: the role, and what the parent tells a new actor in the handshake.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The name of the role in which a process is an actor.
pub(crate) const ROLE: &str = "actor";

/// What a parent tells a new actor, in the handshake; siblings tell each other what they were told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// For the clean-up when the parent is gone.
    pub(crate) grace: Duration,
    /// How long the end of the link looks at it before it sleeps.
    pub(crate) spin: Duration,
}

impl Settings {
    pub(crate) fn encode(&self) -> Bytes {
        triune_wire::to_bytes(self).expect("a duration can always be encoded")
    }
}
