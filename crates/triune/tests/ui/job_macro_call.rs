//! `job!` names a function and its arguments.

use triune::prelude::*;

fn double(x: u64) -> u64 {
    2 * x
}

fn main() {
    let _ = job!(double);
    let _ = job!();
    let _ = double(1);
}
