//! How long a shield holds out against a cancel from around it.
//!
//! A shield that nobody polls any more must end all the same, because what is around it waits for it. So nothing here
//! depends on a poll of what is shielded:
//!
//! 1. The time of a shield with [`Patience`] begins when the pass of a cancel meets the shield, or, where the cancel was
//!    first, when the shield takes its place in the tree. Once.
//! 2. It ends in the call of its [`Alarm`], which the node owns; the boundary of the shield need not be polled.
//! 3. Whichever comes first gives up the hold on what is above: the end of the shielded future, the alarm, a hard stop.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::deadline::When;
use super::hold::Hold;
use super::node::Node;
use super::reason::CancelReason;
use super::spread::Walk;
use crate::time::alarm::Alarm;

/// How long a clean-up may go on in a cancelled scope, unless told otherwise.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// What only a shield has.
#[derive(Debug, Default)]
pub(super) struct Shielding {
    hold: Option<Hold>,
    /// Until its time begins.
    patience: Option<Patience>,
    alarm: Option<Alarm>,
}

/// For how long a shield holds out when what is around it is cancelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    pub(crate) then: Then,
}

/// What happens when the time of a shield is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// What it shields is dropped.
    Drop,
    /// The cancel comes in, as if there were no shield.
    Admit,
}

impl Shielding {
    /// Whether its time would begin with a cancel.
    pub(super) fn is_patient(&self) -> bool {
        self.patience.is_some()
    }
}

impl Node {
    /// A shield's own hold on what is above it. Taken before the shield has its place, because its time may begin there.
    pub(crate) fn keep_shielding(&self, hold: Hold) {
        self.change_shielding(|shielding| shielding.hold = Some(hold));
    }

    /// Bounds a shield that has not taken its place yet.
    pub(crate) fn bear(&self, patience: Patience) {
        self.change_shielding(|shielding| shielding.patience = Some(patience));
    }

    /// The shield has ended.
    pub(crate) fn stop_shielding(&self) {
        let shielding = self.change_more(|more| more.shielding.take());
        drop(shielding);
    }

    /// What is around the shield is cancelled: its time begins.
    pub(crate) fn lose_patience(self: &Arc<Self>, why: &CancelReason) {
        let patience = self.change_more(|more| more.shielding.as_mut()?.patience.take());
        let Some(Patience { limit, then }) = patience else { return };
        if then == Then::Drop && tokio::runtime::Handle::try_current().is_err() {
            // No runtime, no timer: there is nothing that could bound it.
            return;
        }
        let Some(at) = Instant::now().checked_add(limit) else { return };
        match then {
            Then::Drop => self.limit_hard(When::At(at)),
            Then::Admit => {}
        }
        self.set_alarm(at, End::of(then, why));
    }

    /// Has the limit that a shield was born with end it, polled or not; again does nothing.
    pub(crate) fn guard_limit(self: &Arc<Self>) {
        if !self.has_alarm()
            && let Some(at) = self.next_alarm()
        {
            self.set_alarm(at, End::Drop);
        }
    }

    fn has_alarm(&self) -> bool {
        let has_alarm = |shielding: &Shielding| shielding.alarm.is_some();
        self.with_more(|more| more.shielding.as_deref().is_some_and(has_alarm)).unwrap_or(false)
    }

    fn set_alarm(self: &Arc<Self>, at: Instant, end: End) {
        let expiry = Arc::new(Expiry { shield: Arc::downgrade(self), at, end });
        match Alarm::set(at, &Waker::from(Arc::clone(&expiry))) {
            Some(alarm) => self.change_shielding(|shielding| shielding.alarm = Some(alarm)),
            None => expiry.expire(),
        }
    }

    /// The time is over, and the cancel comes in. There may be nobody who polls what is in here and would make the pass, so
    /// the shields in it learn from here that their time begins.
    fn admit(self: &Arc<Self>, why: &CancelReason) {
        self.cancel(why.clone());
        let mut shields = Vec::new();
        self.walk(|node, visit| {
            if visit.enters_shield {
                shields.push(Arc::clone(node));
            }
            if visit.enters_shield || node.is_own_task() && !visit.is_self {
                Walk::Stop
            } else {
                Walk::Descend
            }
        });
        shields.iter().for_each(|shield| shield.lose_patience(why));
        self.stop_shielding();
    }

    fn change_shielding<R>(&self, change: impl FnOnce(&mut Shielding) -> R) -> R {
        self.change_more(|more| change(more.shielding.get_or_insert_default()))
    }
}

/// What the end of the time does.
#[derive(Debug)]
enum End {
    Drop,
    Admit(CancelReason),
}

impl End {
    fn of(then: Then, why: &CancelReason) -> Self {
        match then {
            Then::Drop => Self::Drop,
            Then::Admit => Self::Admit(why.clone()),
        }
    }
}

/// Ends a shield on the spot when its time is over.
#[derive(Debug)]
struct Expiry {
    shield: Weak<Node>,
    at: Instant,
    end: End,
}

impl Expiry {
    fn expire(&self) {
        let Some(shield) = self.shield.upgrade() else { return };
        match &self.end {
            End::Drop => shield.expire(self.at),
            End::Admit(why) => shield.admit(why),
        }
    }
}

impl Wake for Expiry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if Alarm::is_due(self.at) {
            self.expire();
        }
    }
}
