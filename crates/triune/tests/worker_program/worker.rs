//! A program with the jobs of the tests: another build than the tests, which it serves by name.
//!
//! Cargo calls it as the test is called, so the paths of its functions are the same.

#![expect(clippy::print_stdout, reason = "a program says what it is")]

mod jobs;
#[path = "../worker_processes/support.rs"]
#[allow(dead_code, reason = "the jobs are what this program needs of it")]
mod support;

mod unserved {
    //! What the tests have with other types.

    #[triune::job]
    pub(crate) fn differs(x: u32) -> u32 {
        x
    }
}

#[triune::main]
async fn main() -> triune::Result {
    println!("this program is a worker, to be started by a pool");
    Ok(())
}
