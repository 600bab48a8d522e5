//! Synchronous, CPU-bound code belongs into a worker.

#[triune::endpoint]
fn count(to: u64) -> u64 {
    to
}

fn main() {}
