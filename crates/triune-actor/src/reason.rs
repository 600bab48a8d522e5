//! Cancel reasons across a link: from the tree of scopes to the wire and back.
//!
//! 1. Who cancelled first stays named through any number of hops.
//! 2. A reason that came from a peer has [`Cause::Peer`], whatever it was over there: here, the other side is the cause.

use triune_scope::{CancelReason, Cause};
use triune_wire::{CancelCause, CancelMessage};

use crate::identity::current_path;

/// The reason as it travels.
pub(crate) fn to_message(reason: &CancelReason) -> CancelMessage {
    let cause = match *reason.cause() {
        Cause::Sibling => CancelCause::Sibling,
        Cause::Panic => CancelCause::Panic,
        Cause::Parent => CancelCause::Parent,
        Cause::Deadline => CancelCause::Deadline,
        Cause::Shutdown => CancelCause::Shutdown,
        Cause::Signal(number) => CancelCause::Signal(number),
        Cause::Peer => CancelCause::Peer,
        Cause::Finished => CancelCause::Finished,
        Cause::Dropped => CancelCause::Dropped,
        _ => CancelCause::Explicit,
    };
    let by = match reason.by() {
        // Relayed: the one who began it is somewhere else.
        Some(by) if cause == CancelCause::Peer => by.to_owned(),
        Some(task) => format!("{} (task {task})", current_path()),
        None => current_path().to_owned(),
    };
    CancelMessage::new(cause, reason.message()).with_by(by)
}

/// The reason as the code on this side sees it.
pub(crate) fn from_message(message: &CancelMessage) -> CancelReason {
    let cause = match message.cause {
        CancelCause::Sibling => Some(Cause::Sibling),
        CancelCause::Panic => Some(Cause::Panic),
        CancelCause::Parent => Some(Cause::Parent),
        CancelCause::Deadline => Some(Cause::Deadline),
        CancelCause::Shutdown => Some(Cause::Shutdown),
        CancelCause::Signal(number) => Some(Cause::Signal(number)),
        CancelCause::Finished => Some(Cause::Finished),
        CancelCause::Dropped => Some(Cause::Dropped),
        _ => None,
    };
    let text = match cause {
        Some(cause) => CancelReason::new(cause, message.message.clone()).to_string(),
        None => message.message.clone(),
    };
    let reason = CancelReason::new(Cause::Peer, text);
    match &message.by {
        Some(by) => reason.with_by(by.clone()),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_arrives_as_the_peers_with_its_author() {
        let sent = CancelReason::new(Cause::Sibling, "disk full").with_by("writer#4");
        let seen = from_message(&to_message(&sent));
        assert_eq!(*seen.cause(), Cause::Peer);
        assert_eq!(seen.message(), "a sibling failed: disk full");
        assert_eq!(seen.by(), Some("/ (task writer#4)"));
    }

    #[test]
    fn a_relayed_reason_keeps_its_first_author_and_text() {
        let seen = from_message(&to_message(&CancelReason::from("enough")));
        assert_eq!((seen.message(), seen.by()), ("enough", Some("/")));
        assert_eq!(from_message(&to_message(&seen)), seen);
    }
}
