//! The death matrix: any process of a tree is killed, whatever the tree is doing, and nothing is left, nobody waits for
//! ever, and whoever is left to hear it hears it as a typed error.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "in a test, a panic is the report, and stderr is read"
)]

mod deaf;
mod matrix;
mod odd_ends;
mod out_of_memory;
mod program;
