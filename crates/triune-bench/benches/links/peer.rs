//! What every contender does, and how its other process starts.

use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use futures_buffered::join_all;
use rustix::net::sockopt;
use tokio::net::UnixStream;
use triune_bench::Bench;
use triune_process::{Process, Spec};

/// The argument of a large call, in bytes.
pub(crate) const MIB: usize = 1024 * 1024;

/// What `triune-ipc` asks of the system for its own sockets.
const SOCKET_BUFFER: usize = 1024 * 1024;

/// A contender with its other process.
pub(crate) trait Peer {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Calls that give back their 64 bytes: so many in all, so many at a time.
    fn calls(&mut self, times: usize, in_flight: usize) -> bool;
    /// Items of so many bytes from the other process. False if it has no streams.
    fn stream(&mut self, size: usize, count: usize) -> bool;
    /// Calls with an argument of a MiB, one at a time, that give back its length.
    fn large_calls(&mut self, times: usize) -> bool;
    /// Cancels of a dialog that is saturated with items of 64 KiB, and how long each took from the cancel to the end of the dialog on the
    /// other side. Nothing if it has no dialogs that can be cancelled.
    fn cancels(&mut self, _times: usize, _direction: Direction) -> Vec<Duration> {
        Vec::new()
    }
}

/// Which way the items go.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// To the side that cancels.
    Against,
    /// From the side that cancels: its cancel must overtake what it has queued itself.
    Along,
}

/// The size of an item of a saturated dialog, in bytes.
pub(crate) const BULK: usize = 64 * 1024;

/// So many items have gone through a dialog before it is cancelled.
pub(crate) const UNDER_WAY: usize = 64;

/// The other process; killed and reaped when dropped, inside of its runtime.
pub(crate) struct Other {
    bench: Bench,
    process: Option<Process>,
}

impl Other {
    /// Starts it in this role, and gives this end of its link.
    pub(crate) fn start(bench: Bench, role: &'static str) -> (Self, StdStream) {
        let started = bench.block_on(triune_process::spawn(Spec::new(role, role)));
        let (process, link) = started.expect("the other process starts");
        widen(&link);
        (Self { bench, process: Some(process) }, link)
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.bench.block_on(future)
    }

    /// A task that goes on beside the samples.
    pub(crate) fn spawn(&self, task: impl Future<Output: Send> + Send + 'static) {
        // It ends with its runtime.
        drop(self.bench.spawn(task));
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let process = self.process.take();
        self.bench.block_on(async { drop(process) });
    }
}

/// Gives a socket the buffers that all contenders have.
pub(crate) fn widen(link: &StdStream) {
    sockopt::set_socket_send_buffer_size(link, SOCKET_BUFFER).expect("the system takes a size");
    sockopt::set_socket_recv_buffer_size(link, SOCKET_BUFFER).expect("the system takes a size");
}

/// The link for a runtime.
pub(crate) fn to_tokio(link: StdStream) -> UnixStream {
    widen(&link);
    link.set_nonblocking(true).expect("a socket takes the flag");
    UnixStream::from_std(link).expect("the runtime takes the socket")
}

/// Runs `one` so many times, so many at a time, all in one task. The same for every contender.
pub(crate) async fn in_turn<F: Future<Output = ()>>(times: usize, in_flight: usize, one: impl Fn() -> F) {
    let lines = in_flight.min(times);
    let line = async || {
        for _ in 0..times.div_ceil(lines) {
            one().await;
        }
    };
    if lines == 1 {
        return line().await;
    }
    join_all((0..lines).map(|_| line())).await;
}
