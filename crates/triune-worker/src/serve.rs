//! The worker's side: a blocking loop on the main thread, one job at a time.
//!
//! Owns: the role, the loop, and what becomes of a panic. Does not own: the call itself (`call`), nor the watch over the
//! parent, which is a thread of `triune-process` that a busy job cannot delay.
//!
//! Invariants:
//! 1. Every job gets exactly one answer, also one that panics or whose result cannot be sent.
//! 2. A worker that answered is as good as new: nothing of a job stays but what its function left in statics.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use linkme::distributed_slice;
use triune_ipc::blocking::{BlockingCall, Server};
use triune_ipc::{Config, ConnectError, LinkEnd, ProtocolError};
use triune_process::{Boot, ROLES, Role, build_id, exit_code};
use triune_wire::{BuildId, FrameError, Hello, Report, ReportKind};

use crate::capture;
use crate::job::JOBS;
use crate::report::{Fault, fault};

pub(crate) const ROLE: &str = "worker";

#[distributed_slice(ROLES)]
static WORKER: Role = Role { name: ROLE, main };

/// Arguments and results are data of the same program: larger than what peers usually may send, and still bounded.
const MAX_MESSAGE: u32 = 256 * 1024 * 1024;

/// What both sides of a worker's link say about themselves.
pub(crate) fn hello(role: &str, name: &str) -> Hello {
    let mut hello = Hello::new(BuildId::new(build_id()), role, name);
    hello.limits.max_message = MAX_MESSAGE;
    hello
}

fn main(boot: Boot) -> u8 {
    if let Err(error) = boot.exit_with_parent(Duration::ZERO, || {}) {
        return complain(boot.name(), &format!("cannot watch its parent: {error}"));
    }
    let name = boot.name().to_owned();
    capture::install();
    match Server::accept(boot.into_link(), &Config::new(hello(ROLE, &name))) {
        Ok(server) => serve(server, &name),
        // The parent went away, or did not want it any more.
        Err(ConnectError::Closed) => 0,
        Err(error) => complain(&name, &error.to_string()),
    }
}

fn complain(name: &str, what: &str) -> u8 {
    // The parent learns the exit code; the words are for whoever reads the terminal.
    let _nobody_to_tell = writeln!(std::io::stderr(), "triune: {name}: {what}");
    exit_code::BOOT_FAILED
}

fn serve(mut server: Server, name: &str) -> u8 {
    let mut output = Vec::new();
    loop {
        let answered = match server.next() {
            Ok(Some(call)) => answer(&mut server, &call, &mut output, name),
            Ok(None) => return 0,
            Err(end) => Err(end),
        };
        match answered {
            Ok(()) => {}
            // In the middle of a frame: the parent has died.
            Err(LinkEnd::Protocol(error))
                if matches!(*error, ProtocolError::Frame(FrameError::Truncated { .. })) =>
            {
                return exit_code::PARENT_GONE;
            }
            Err(LinkEnd::Protocol(error)) => return complain(name, &error.to_string()),
            Err(_parent_gone) => return exit_code::PARENT_GONE,
        }
        // One huge result must not keep its memory for the life of the worker.
        output.clear();
        output.shrink_to(KEPT_OUTPUT);
    }
}

/// How much of the buffer for results stays allocated between jobs, in bytes.
const KEPT_OUTPUT: usize = 1024 * 1024;

fn answer(server: &mut Server, call: &BlockingCall, output: &mut Vec<u8>, name: &str) -> Result<(), LinkEnd> {
    let outcome = perform(call, output);
    // A text without a newline would be lost if the worker is killed while it is idle.
    let _closed_output_is_no_failure_of_the_job = std::io::stdout().flush();
    let outcome = outcome.and_then(|()| fits(server, output));
    match outcome {
        Ok(()) => server.reply(call.id, output),
        Err(mut report) => {
            report.path = Some(name.to_owned());
            report.pid = Some(std::process::id());
            server.fail(call.id, &report)
        }
    }
}

fn fits(server: &Server, output: &[u8]) -> Result<(), Box<Report>> {
    let limit = server.peer().limits.max_message;
    if output.len() <= limit as usize {
        return Ok(());
    }
    let too_large = Fault::TooLarge { bytes: output.len() as u64, limit: limit.into() };
    Err(fault(too_large, Report::new(ReportKind::Protocol, "the result is too large")))
}

/// Runs the job. A panic becomes a report.
fn perform(call: &BlockingCall, output: &mut Vec<u8>) -> Result<(), Box<Report>> {
    let Some(entry) = JOBS.get(call.target as usize) else {
        let text = format!("there is no job {} among the {} of this program", call.target, JOBS.len());
        return Err(Box::new(Report::new(ReportKind::Unknown, text)));
    };
    tracing::trace!(job = entry.name(), "job begins");
    let captured = capture::begin();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| entry.run(&call.args, output)));
    match result {
        Ok(result) => {
            captured.give_up();
            result
        }
        Err(payload) => Err(captured.into_report(payload)),
    }
}
