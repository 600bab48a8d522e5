//! What `#[triune::test(start_paused = true)]` expands to; here no test is built, so the attribute leaves nothing.
use triune::__private::{RuntimeConfig, TestClock};

fn main() {
    let _config = RuntimeConfig::current_thread().start_paused(TestClock);
}
