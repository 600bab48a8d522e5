//! The end of a program that leaves nothing behind.

use crate::{guardian, output};

/// Waits until what the children have written is passed on, and until the guardian has gone, with everything that is left
/// of the tree. For the end of `main`, when the runtime is gone; `#[triune::main]` calls it.
///
/// A program that simply exits is noticed as well, and nothing outlives it by more than a moment; this makes sure that
/// the moment is over when it has ended. Blocks for less than a millisecond if there is nothing left to do, and for a
/// second at most. A start after it works as ever.
pub fn finish() {
    guardian::dismiss();
    output::flush();
}
