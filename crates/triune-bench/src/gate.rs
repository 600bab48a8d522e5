//! A place where a job reports that it runs, so that a kill meets it at work.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::Bench;

/// Where one job at a time reports. Its socket is removed when it is dropped.
#[derive(Debug)]
pub struct Gate {
    path: String,
    listener: UnixListener,
}

impl Gate {
    /// A gate of this process, in the folder for temporary files.
    ///
    /// # Panics
    ///
    /// If the system gives none.
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("triune-bench-{}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a socket in the folder for temporary files");
        listener.set_nonblocking(true).expect("a socket of ours");
        let path = path.into_os_string().into_string().expect("the folder's name is text");
        Self { path, listener }
    }

    /// What [`report_and_spin`] needs.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.clone()
    }

    /// Waits until a job has reported, while the runtime goes on.
    ///
    /// # Panics
    ///
    /// If the job ends before it has reported.
    pub fn wait(&self, bench: &Bench) {
        let mut arrival = bench.block_on(async {
            loop {
                match self.listener.accept() {
                    Ok((arrival, _)) => break arrival,
                    Err(_none_yet) => tokio::task::yield_now().await,
                }
            }
        });
        arrival.set_nonblocking(false).expect("a socket of ours");
        arrival.read_exact(&mut [0]).expect("the job says that it runs");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Somebody who cleans up temporary files was faster.
        let _absent = std::fs::remove_file(&self.path);
    }
}

/// What a job does that is to be killed at work.
///
/// # Panics
///
/// If nobody listens at the gate.
pub fn report_and_spin(gate: String) {
    let mut gate = UnixStream::connect(gate).expect("the benchmark listens");
    gate.write_all(&[1]).expect("the benchmark listens");
    loop {
        std::hint::spin_loop();
    }
}
