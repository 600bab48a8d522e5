//! What the tests of actors have in common: news from an actor that do not go through its link.

use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;

/// A place where processes leave messages, so that a test waits for what happens over there and not for a time.
pub(crate) struct Bell {
    dir: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Bell {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("bell")).unwrap();
        Self { dir, socket }
    }

    /// Where to ring, to be handed to an endpoint.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("bell")
    }

    /// The next message.
    pub(crate) async fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let received = tokio::time::timeout(Duration::from_secs(20), self.socket.recv(&mut buffer)).await;
        let len = received.expect("the bell rings in time").unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    /// A message that was left already.
    pub(crate) fn waiting(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let len = self.socket.try_recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..len].to_vec()).unwrap())
    }
}

/// Leaves a message. A bell that is gone is nobody's problem.
pub(crate) fn ring(path: &Path, message: &str) {
    let sent = StdDatagram::unbound().and_then(|socket| socket.send_to(message.as_bytes(), path));
    drop(sent);
}

/// Rings when it is dropped: the task that owned it is gone.
pub(crate) struct RingOnDrop(pub(crate) PathBuf, pub(crate) &'static str);

impl Drop for RingOnDrop {
    fn drop(&mut self) {
        ring(&self.0, self.1);
    }
}

/// `kill -9`.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

/// `kill -STOP`.
pub(crate) fn freeze(pid: u32) {
    send(pid, Signal::STOP);
    // A SIGTERM that comes before it has stopped would be taken first.
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") T ")) {
        std::thread::yield_now();
    }
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}
