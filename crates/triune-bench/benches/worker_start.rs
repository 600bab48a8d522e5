//! Start and end of a worker process: from nothing to the first answer, and from a cancel to a reaped process. Guards
//! the boot of a worker (nothing of a runtime in it), the way of a kill, and the number of hops between them.
//!
//! The floors are a bare `Command` with a socket, whose child runs tokio as an actor does, a bare fork server, and a kill by hand.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use divan::Bencher;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use triune::worker::{self, WorkerKind, Workers};
use triune::{CancelScope, Outcome};
use triune_bench::bare::{self, Bare, Role};
use triune_bench::fork::ForkServer;
use triune_bench::gate::{Gate, report_and_spin};
use triune_bench::{Bench, FLAVOURS, echo_job, own_program, small};

fn main() {
    bare::enter();
    triune::init();
    procspawn::init();
    divan::main();
}

mod cold {
    use super::*;

    /// `Command`, a socket, and a child with a current-thread runtime: hello, then one message there and back.
    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn command_and_tokio(bencher: Bencher<'_, '_>, flavour: &str) {
        bencher.with_inputs(|| Bench::of(flavour)).bench_local_values(|bench| {
            let child = bench.block_on(async {
                let mut child = Bare::start(Role::Serve).await.expect("a child starts");
                child.call(&small()).await.expect("the child lives");
                child
            });
            (child, bench)
        });
    }

    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn triune_worker(bencher: Bencher<'_, '_>, flavour: &str) {
        bencher.with_inputs(|| Bench::of(flavour)).bench_local_values(|bench| {
            bench.block_on(worker::run(echo_job::with(small()))).expect("a worker starts");
            bench
        });
    }

    /// A bare fork server that is there: a copy of it says hello, then one message there and back.
    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn bare_fork_server(bencher: Bencher<'_, '_>, flavour: &str) {
        let bench = Bench::of(flavour);
        let server = ForkServer::start().expect("a child starts");
        let copy = || {
            bench.block_on(async {
                let mut copy = server.copy().await.expect("the server lives");
                copy.call(&small()).await.expect("the copy lives");
                copy
            })
        };
        bencher.bench_local(copy);
    }

    /// The same from a fork server that is there: each job has a worker of its own.
    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn triune_fork_server(bencher: Bencher<'_, '_>, flavour: &str) {
        let bench = Bench::of(flavour);
        let job = || bench.block_on(worker::run(echo_job::with(small()))).expect("a worker starts");
        bench.block_on(async {
            let workers = Workers::new().kind(WorkerKind::ForkServer).idle_timeout(Duration::ZERO);
            worker::configure_default(workers).expect("it is sound");
        });
        job();
        let alone = || {
            // The one before has gone: it is not its end that is measured.
            let is_gone = async {
                while worker::statistics().dying > 0 {
                    tokio::task::yield_now().await;
                }
            };
            bench.block_on(is_gone);
        };
        bencher.with_inputs(alone).bench_local_values(|()| job());
    }

    /// The same as another program, which this one is executed as: one `exec` more, and jobs by name.
    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn triune_program(bencher: Bencher<'_, '_>, flavour: &str) {
        let with_program = || {
            let bench = Bench::of(flavour);
            bench.block_on(async {
                worker::configure_default(Workers::new().kind(own_program())).expect("it is sound");
            });
            bench
        };
        bencher.with_inputs(with_program).bench_local_values(|bench| {
            bench.block_on(worker::run(echo_job::with(small()))).expect("a worker starts");
            bench
        });
    }

    #[divan::bench(sample_count = 100, sample_size = 1)]
    fn procspawn_spawn(bencher: Bencher<'_, '_>) {
        bencher.bench_local(|| procspawn::spawn(small(), |payload| payload).join().expect("a child starts"));
    }
}

mod kill {
    use super::*;

    /// A busy child, killed by pidfd, awaited with poll, reaped: what nothing can be faster than.
    #[divan::bench(sample_count = 100, sample_size = 1)]
    fn by_hand(bencher: Bencher<'_, '_>) {
        let busy = || {
            let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
            #[expect(
                clippy::disallowed_methods,
                clippy::zombie_processes,
                reason = "by hand: `waitid` reaps"
            )]
            let child = std::process::Command::new("/proc/self/exe")
                .env("TRIUNE_BENCH_BARE", "spin")
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .spawn()
                .expect("a child starts");
            ours.read_exact(&mut [0]).expect("the child says hello");
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process number");
            pidfd_open(pid, PidfdFlags::empty()).expect("the child lives")
        };
        bencher.with_inputs(busy).bench_local_values(|child| {
            pidfd_send_signal(&child, Signal::KILL).expect("the child lives");
            let mut ended = [PollFd::new(&child, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut ended, None)).expect("it ends");
            waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED).expect("it is ours");
            child
        });
    }

    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn tokio_process(bencher: Bencher<'_, '_>, flavour: &str) {
        let bench = Bench::of(flavour);
        let busy = || bench.block_on(Bare::start(Role::Spin)).expect("a child starts").into_child();
        bencher.with_inputs(busy).bench_local_values(|mut child| {
            bench.block_on(child.kill()).expect("the child lives");
        });
    }

    #[triune::job]
    fn spin(gate: String) {
        report_and_spin(gate);
    }

    /// From the cancel of the scope around the call until the call has returned, which it does when the worker is reaped.
    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 1)]
    fn triune_cancel(bencher: Bencher<'_, '_>, flavour: &str) {
        let (bench, gate) = (Bench::of(flavour), Gate::new());
        let busy = || {
            let scope = CancelScope::new();
            let call = bench.spawn(scope.run(worker::run(spin::with(gate.path()))));
            gate.wait(&bench);
            (scope, call)
        };
        bencher.with_inputs(busy).bench_local_values(|(scope, call)| {
            scope.cancel("benchmark");
            let end = bench.block_on(call).expect("the call does not panic");
            assert!(!matches!(end, Outcome::Done(Ok(()))), "{end:?}");
        });
    }

    #[divan::bench(sample_count = 100, sample_size = 1)]
    fn procspawn_kill(bencher: Bencher<'_, '_>) {
        let (bench, gate) = (Bench::current_thread(), Gate::new());
        let busy = || {
            let job = procspawn::spawn(gate.path(), report_and_spin);
            gate.wait(&bench);
            job
        };
        bencher.with_inputs(busy).bench_local_values(|mut job| job.kill().expect("the child lives"));
    }
}
