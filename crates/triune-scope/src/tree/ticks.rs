//! The processor's tick counter, and what its ticks are in time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A reading of the counter.
pub(crate) fn now() -> u64 {
    anchor();
    read()
}

/// A number of ticks as time, by the ratio of the two clocks since the first reading.
pub(crate) fn duration(ticks: u64) -> Duration {
    let (first, start) = *anchor();
    let passed = read().saturating_sub(first).max(1);
    let nanos = start.elapsed().as_nanos() * u128::from(ticks) / u128::from(passed);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn anchor() -> &'static (u64, Instant) {
    static ANCHOR: OnceLock<(u64, Instant)> = OnceLock::new();
    ANCHOR.get_or_init(|| (read(), Instant::now()))
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn read() -> u64 {
    tick_counter::x86_64_tick_counter()
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn read() -> u64 {
    tick_counter::aarch64_tick_counter()
}

/// Elsewhere the clock, in nanoseconds; Miri knows no machine instructions.
#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn read() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}
