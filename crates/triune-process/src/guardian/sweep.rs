//! What is left beneath children that have ended.
//!
//! A *stray* is a child of the guardian that it did not start: its parent has ended, and the system gave it to us. It
//! carries, in the environment that it was started with, the mark of the triune process that it comes from. While that
//! one lives, the stray is its business (`sh -c 'tool &'` makes one); afterwards it is killed. A stray without a mark
//! (somebody has cleared its environment) belongs to nobody that we know, and is killed as soon as we look. One that is
//! just becoming another program has none for a moment only, so we look again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::ward::Ward;
use crate::marker::{self, Marker};
use crate::sys::{self, Variable};

/// How soon to look again at a process that was just becoming another program.
const SOON: Duration = Duration::from_millis(2);

/// How often to look at it again before it counts as one without a mark.
const LOOKS: u32 = 500;

/// Who still waits for a stray to die.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// The marks of the ended children that have strays.
    dying: BTreeSet<u64>,
    /// There are some that nobody has marked.
    unmarked: bool,
    /// Some have died while we looked, and others may have come to us instead.
    unsettled: bool,
    /// Some are just becoming another program; so many looks in a row have found it so.
    changing: u32,
}

impl Strays {
    /// Looks for strays, and kills those that no living child answers for.
    pub(super) fn kill(
        &self,
        wards: &BTreeMap<u64, Ward>,
        children: &mut sys::ChildList,
        depth: usize,
    ) -> Self {
        let mut found = Self::default();
        let is_ward = |listed: u32| wards.values().any(|ward| ward.listed == listed && !ward.has_ended());
        let Some(strays) = children.living(depth, is_ward) else {
            // One has just died, and its children are ours in a moment. The end of it wakes us.
            return Self { unsettled: true, changing: self.changing, ..found };
        };
        for stray in strays {
            let mark = match sys::variable_of(stray.listed, marker::CHILD) {
                Variable::Unsettled if self.changing < LOOKS => {
                    found.changing = self.changing + 1;
                    continue;
                }
                Variable::Is(marker) => mark_of(&marker),
                Variable::Unset | Variable::Unsettled => None,
            };
            match mark.map(|mark| (mark, wards.get(&mark))) {
                Some((_, Some(origin))) if !origin.has_ended() => continue,
                Some((mark, Some(_))) => drop(found.dying.insert(mark)),
                _ => found.unmarked = true,
            }
            // It may have ended meanwhile; then there is nothing to do.
            let _ended = sys::signal_number(stray.pid, libc::SIGKILL);
        }
        found
    }

    /// Whether none is left that an ended child with this mark might have to wait for.
    pub(super) fn are_gone_from(&self, mark: u64) -> bool {
        !self.unmarked && !self.unsettled && self.changing == 0 && !self.dying.contains(&mark)
    }

    /// Whether there is nothing that has yet to die.
    pub(super) fn is_empty(&self) -> bool {
        self.dying.is_empty() && !self.unmarked && !self.unsettled && self.changing == 0
    }

    /// When to look again, where no event will tell.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        (self.changing > 0).then(|| now + SOON)
    }
}

/// The mark of the child that a process comes from, by the value of the variable that holds it.
fn mark_of(marker: &[u8]) -> Option<u64> {
    Some(Marker::decode(std::str::from_utf8(marker).ok()?)?.nonce)
}
