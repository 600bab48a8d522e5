//! Who receives which signal: one table for the process, since the system has one handler for each signal.
//!
//! tokio's signals do not serve here: its handlers stay for ever, and what nobody has read is lost with the last listener.
//!
//! # Invariants
//!
//! 1. A signal that somebody receives has our handler, and nothing but that; one that nobody receives has the handling that
//!    it had before.
//! 2. Of several receivers of one signal, the one that was opened last gets it. When it goes, what it has not read goes to
//!    the one before it, and from the first one to the handling from before all of them.
//! 3. A signal that comes again before it was read counts once, as it does for the system.
//! 4. The handler only notes and rings; everything else happens under the lock of the table, outside of handlers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::kind::Signal;
use crate::sys;

static TABLE: Mutex<BTreeMap<Signal, Slot>> = Mutex::new(BTreeMap::new());

fn table() -> MutexGuard<'static, BTreeMap<Signal, Slot>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One signal that is received.
struct Slot {
    /// The handling from before.
    before: sys::Handling,
    /// From the first to the last, and whether each has one that it has not read.
    receivers: Vec<(u64, bool)>,
}

/// From now on, the receiver with this number gets the signal.
pub(super) fn insert(signal: Signal, receiver: u64) -> io::Result<()> {
    let mut table = table();
    if let Some(slot) = table.get_mut(&signal) {
        // What came until now is for whoever was there.
        slot.note(signal);
        slot.receivers.push((receiver, false));
        return Ok(());
    }
    let before = sys::note_signal(signal.number())?;
    table.insert(signal, Slot { before, receivers: vec![(receiver, false)] });
    Ok(())
}

/// The receiver does not get the signal any more; what it has not read goes to the next.
pub(super) fn remove(signal: Signal, receiver: u64) {
    let mut table = table();
    let Some(slot) = table.get_mut(&signal) else { return };
    slot.note(signal);
    let Some(at) = slot.receivers.iter().position(|(other, _)| *other == receiver) else { return };
    let (_, unread) = slot.receivers.remove(at);
    if let Some((_, next)) = at.checked_sub(1).and_then(|below| slot.receivers.get_mut(below)) {
        *next |= unread;
        sys::ring_signal_bell();
    } else if slot.receivers.is_empty() {
        // Nothing is noted from here on, so what is noted now is all there is.
        let late = sys::handle_signal_as_before(signal.number(), &slot.before);
        table.remove(&signal);
        drop(table);
        if unread || late {
            // Nobody who could be told is left if that fails.
            let _always_works = sys::signal_number(std::process::id(), signal.number());
        }
    } else if let Some((_, first)) = slot.receivers.first_mut() {
        // The handling from before is hidden by those above it, of which the lowest is the nearest to it.
        *first |= unread;
        sys::ring_signal_bell();
    }
}

/// Takes the signal, if the receiver has one that it has not read.
pub(super) fn take(signal: Signal, receiver: u64) -> bool {
    let mut table = table();
    let Some(slot) = table.get_mut(&signal) else { return false };
    slot.note(signal);
    let entry = slot.receivers.iter_mut().find(|(other, _)| *other == receiver);
    entry.is_some_and(|(_, unread)| std::mem::take(unread))
}

impl Slot {
    /// Gives what the handler has noted to the last receiver.
    fn note(&mut self, signal: Signal) {
        if sys::take_noted_signal(signal.number())
            && let Some((_, unread)) = self.receivers.last_mut()
        {
            *unread = true;
        }
    }
}
