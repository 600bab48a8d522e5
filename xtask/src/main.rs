//! Checks and tasks of this repository.
fn main() {}
