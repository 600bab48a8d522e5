//! What shall go wrong on one link, and when.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::Random;

/// The way of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a link has two directions")]
pub enum Direction {
    /// From the parent to the child.
    ToChild,
    /// From the child to the parent.
    FromChild,
}

/// What goes wrong when a frame comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The child gets SIGKILL. The frame goes on: it was sent, after all.
    Kill,
    /// The child gets SIGSTOP, and SIGCONT after this time; the frame and those behind it wait meanwhile.
    Stop(Duration),
    /// The child gets SIGSTOP for good, and the link is cut behind the frame: a child that neither answers, nor dies, nor learns
    /// that nobody listens any more. Only SIGKILL ends it.
    Freeze,
    /// The frame, and those behind it in its direction, wait for this time.
    Delay(Duration),
    /// The link is cut, in both directions, after so many bytes of the frame (or all of it, if it has fewer).
    Cut {
        /// How many bytes of the frame still arrive.
        after: usize,
    },
    /// One byte of the frame is changed.
    Corrupt {
        /// Which byte of the frame, counted round if it has fewer. The header is the first 16.
        at: usize,
        /// The bits that are flipped.
        xor: u8,
    },
}

impl Fault {
    /// Any fault; times are of a length that a test can wait for.
    fn random(random: &mut Random) -> Self {
        let time = Duration::from_millis(random.in_range(1..60));
        let position = usize::try_from(random.in_range(0..48)).expect("a small number");
        match random.in_range(0..6) {
            0 => Self::Kill,
            1 => Self::Stop(time),
            2 => Self::Freeze,
            3 => Self::Delay(time),
            4 => Self::Cut { after: position },
            _ => Self::Corrupt { at: position, xor: 1 << random.in_range(0..8) },
        }
    }
}

/// The faults of one link, by the number of the frame at which they happen. An empty plan lets everything pass.
///
/// Frames are counted from 0, in each direction; number 0 is the HELLO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    faults: BTreeMap<(Direction, u64), Fault>,
}

impl Plan {
    /// A plan without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same plan, with this fault at this frame, instead of one that it has there.
    #[must_use]
    pub fn at(mut self, direction: Direction, frame: u64, fault: Fault) -> Self {
        self.faults.insert((direction, frame), fault);
        self
    }

    /// A plan with one random fault, in either direction, at one of these frames.
    ///
    /// # Panics
    ///
    /// If the range of frames is empty.
    ///
    /// ```
    /// use triune_testing::Random;
    /// use triune_testing::fault::Plan;
    ///
    /// // The same seed, the same fault.
    /// assert_eq!(Plan::random(&mut Random::new(7), 0..100), Plan::random(&mut Random::new(7), 0..100));
    /// ```
    #[must_use]
    pub fn random(random: &mut Random, frames: Range<u64>) -> Self {
        let direction = *random.one_of(&[Direction::ToChild, Direction::FromChild]);
        let frame = random.in_range(frames);
        Self::new().at(direction, frame, Fault::random(random))
    }

    /// What goes wrong.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        self.faults.values().copied()
    }

    pub(super) fn get(&self, direction: Direction, frame: u64) -> Option<Fault> {
        self.faults.get(&(direction, frame)).copied()
    }
}
