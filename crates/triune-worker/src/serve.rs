//! The worker's side: a blocking loop on the main thread, one job at a time.
//!
//! Owns: the role, the loop, and what becomes of a panic. It serves the same program by place, and another one by name (`by_name`).
//! Does not own: the call itself (`call`), nor the watch over the parent, which is up to `triune-process`: a busy job cannot delay it.
//!
//! Invariants:
//! 1. Every job gets exactly one answer, also one that panics or whose result cannot be sent.
//! 2. A worker that answered is as good as new: nothing of a job stays but what its function left in statics.

use std::io::Write;
use std::panic::AssertUnwindSafe;

use linkme::distributed_slice;
use triune_ipc::blocking::{BlockingCall, Loan, Server};
use triune_ipc::{Config, ConnectError, LinkEnd, ProtocolError};
use triune_process::{Boot, FORK_SERVER, Forks, ROLES, Role, begin_cpu_time, build_id, exit_code};
use triune_wire::{BuildId, FrameError, Hello, Report, ReportKind};

use crate::batch;
use crate::by_name::Served;
use crate::call::{Answer, Arguments};
use crate::capture;
use crate::limited::own_report;
use crate::loan;
use crate::report::{Fault, fault};
use crate::setup::{self, InitCall, Setup};
use crate::slate::{self, Answers};
use crate::state;

pub(crate) const ROLE: &str = "worker";

#[distributed_slice(ROLES)]
static WORKER: Role = Role { name: ROLE, main };
#[distributed_slice(ROLES)]
static SERVER: Role = Role { name: FORK_SERVER, main: serve_forks };

/// Arguments and results are data of the same program: larger than what peers usually may send, and still bounded.
const MAX_MESSAGE: u32 = 256 * 1024 * 1024;

/// What both sides of a worker's link say about themselves.
pub(crate) fn hello(role: &str, name: &str) -> Hello {
    let mut hello = Hello::new(BuildId::new(build_id()), role, name);
    hello.limits.max_message = MAX_MESSAGE;
    hello
}

fn main(boot: Boot) -> u8 {
    let name = boot.name().to_owned();
    let is_set_up = std::env::var_os(setup::VARIABLE).is_some_and(|value| value == setup::COMES);
    let code = match work(boot, &name, is_set_up) {
        Ok(()) => 0,
        Err(code) => code,
    };
    // The last thing that code of the jobs does here; a panic in it ends the process as any other.
    state::clear();
    code
}

/// The fork server of a pool: loads what all workers share, and makes them. They begin in [`main`].
fn serve_forks(boot: Boot) -> u8 {
    let name = boot.name().to_owned();
    let code = match load(boot, &name) {
        Ok(Some(forks)) => {
            forks.serve();
            0
        }
        Ok(None) => 0,
        Err(code) => code,
    };
    state::clear();
    code
}

/// Does what the pool asks of its fork server. `None` if the pool does not want it any more. An error is its exit code.
fn load(boot: Boot, name: &str) -> Result<Option<Forks>, u8> {
    // There is no watch on the parent: it would be a thread. The guardian ends us if the pool is gone while we load.
    capture::install();
    let Some(mut server) = greet(&boot, FORK_SERVER, name, 1, &Served::ByPlace)? else { return Ok(None) };
    let Some((id, setup)) = first_call(&mut server, name)? else { return Ok(None) };
    let outcome = setup.init.map_or(Ok(()), InitCall::run);
    let forks = outcome.and_then(|()| {
        boot.into_forks().map_err(|error| {
            let mut report = Report::new(ReportKind::Error, error.to_string());
            report.chain.extend(std::error::Error::source(&error).map(ToString::to_string));
            Box::new(report)
        })
    });
    let (outcome, forks) = match forks {
        Ok(forks) => (Ok(()), Some(forks)),
        Err(report) => (Err(report), None),
    };
    respond(&mut server, id, outcome, name).map_err(|end| gone(end, name))?;
    // Its link goes with the server, before there are workers that could have a copy.
    Ok(forks)
}

/// The life of a worker. An error is its exit code.
fn work(boot: Boot, name: &str, is_set_up: bool) -> Result<(), u8> {
    // The pool of another program knows nothing of a setup: there, `init` is a call like all others.
    let is_set_up = is_set_up && !boot.is_another_program();
    if !is_set_up {
        watch_parent(&boot)?;
    }
    capture::install();
    let served = if boot.is_another_program() { Served::by_name() } else { Served::ByPlace };
    let Some(mut server) = greet(&boot, ROLE, name, batch::MOST as u32, &served)? else { return Ok(()) };
    if is_set_up && !set_up(&mut server, &boot, name)? {
        return Ok(());
    }
    drop(boot);
    serve(&mut server, name, &served)
}

fn watch_parent(boot: &Boot) -> Result<(), u8> {
    let watch = boot.die_with_parent();
    watch.map_err(|error| complain(boot.name(), &format!("cannot watch its parent: {error}")))
}

/// Says hello to the pool, which may send so many calls ahead. `None` if it went away, or does not want us any more.
fn greet(boot: &Boot, role: &str, name: &str, ahead: u32, served: &Served) -> Result<Option<Server>, u8> {
    let refuse = |error: &dyn std::fmt::Display| complain(name, &format!("cannot take its link: {error}"));
    let link = boot.link().try_clone().map_err(|error| refuse(&error))?;
    let mut hello = hello(role, name);
    hello.config = own_report();
    served.announce(&mut hello);
    match Server::accept_ahead(link, &Config::new(hello), ahead) {
        Ok(server) => Ok(Some(server)),
        Err(ConnectError::Closed) => Ok(None),
        Err(error) => Err(complain(name, &error.to_string())),
    }
}

/// Does what the pool asks of each of its workers. False if the parent went away before.
fn set_up(server: &mut Server, boot: &Boot, name: &str) -> Result<bool, u8> {
    let Some((id, setup)) = first_call(server, name)? else { return Ok(false) };
    // Not before: what comes with the setup may hold for one thread only, the one that applies it.
    match setup.sign {
        None => watch_parent(boot)?,
        Some(every) => {
            let watch =
                server.pulse().and_then(|pulse| boot.exit_with_parent_and_sign(every, move || pulse.beat()));
            watch.map_err(|error| complain(name, &format!("cannot give signs of life: {error}")))?;
        }
    }
    server.set_spin(setup.spin);
    let outcome = setup.init.map_or(Ok(()), InitCall::run);
    respond(server, id, outcome, name).map_err(|end| gone(end, name))?;
    Ok(true)
}

/// The call that is the setup, and what it says. `None` if the parent went away before.
fn first_call(server: &mut Server, name: &str) -> Result<Option<(u64, Setup)>, u8> {
    let Some(call) = server.next_taking(loan::take).map_err(|end| gone(end, name))? else { return Ok(None) };
    match triune_wire::decode::<Setup>(&call.args) {
        Ok(setup) if call.target == setup::TARGET => Ok(Some((call.id, setup))),
        _ => Err(complain(name, "its first call was not its setup")),
    }
}

impl InitCall {
    fn run(self) -> Result<(), Box<Report>> {
        let args = Arguments::new(self.arguments.into(), Served::ByPlace.format());
        perform(BlockingJob { target: self.target, args: &args }, &Served::ByPlace, &mut Answer::default())
    }
}

fn complain(name: &str, what: &str) -> u8 {
    // The parent learns the exit code; the words are for whoever reads the terminal.
    let _nobody_to_tell = writeln!(std::io::stderr(), "triune: {name}: {what}");
    exit_code::BOOT_FAILED
}

fn serve(server: &mut Server, name: &str, served: &Served) -> Result<(), u8> {
    let (mut output, mut answers) = (Answer::new(served.format()), Answers::default());
    loop {
        let take = |loan| match loan {
            Loan::Lent { number: slate::NUMBER, file } => answers.set(file),
            loan => loan::take(loan),
        };
        let Some(call) = server.next_taking(take).map_err(|end| gone(end, name))? else { return Ok(()) };
        let BlockingCall { id, target, args, .. } = call;
        let args = Arguments::new(args, served.format());
        let outcome = perform(BlockingJob { target, args: &args }, served, &mut output);
        let outcome = outcome.and_then(|()| fits(server, &output));
        let answered = match outcome {
            Ok(()) => answers.reply(server, id, &output),
            Err(report) => fail(server, id, report, name),
        };
        answered.map_err(|end| gone(end, name))?;
        output.clear();
        server.reuse(args.into_bytes());
    }
}

/// The exit code for a link that broke.
fn gone(end: LinkEnd, name: &str) -> u8 {
    match end {
        // In the middle of a frame: the parent has died.
        LinkEnd::Protocol(error) if matches!(*error, ProtocolError::Frame(FrameError::Truncated { .. })) => {
            exit_code::PARENT_GONE
        }
        LinkEnd::Protocol(error) => complain(name, &error.to_string()),
        _parent_gone => exit_code::PARENT_GONE,
    }
}

/// Answers a call that has no result.
fn respond(
    server: &mut Server,
    id: u64,
    outcome: Result<(), Box<Report>>,
    name: &str,
) -> Result<(), LinkEnd> {
    match outcome {
        Ok(()) => server.reply(id, &[]),
        Err(report) => fail(server, id, report, name),
    }
}

fn fail(server: &mut Server, id: u64, mut report: Box<Report>, name: &str) -> Result<(), LinkEnd> {
    report.path = Some(name.to_owned());
    report.pid = Some(std::process::id());
    server.fail(id, &report)
}

fn fits(server: &Server, output: &Answer) -> Result<(), Box<Report>> {
    let limit = server.peer().limits.max_message;
    if output.len() <= limit as usize {
        return Ok(());
    }
    let too_large = Fault::TooLarge { bytes: output.len() as u64, limit: limit.into() };
    Err(fault(too_large, Report::new(ReportKind::Protocol, "the result is too large")))
}

/// What is to be run.
struct BlockingJob<'a> {
    target: u32,
    args: &'a Arguments,
}

/// Runs the job. A panic becomes a report.
fn perform(call: BlockingJob<'_>, served: &Served, output: &mut Answer) -> Result<(), Box<Report>> {
    let Some(entry) = served.get(call.target) else {
        let text = format!("there is no job of the number {} in this program", call.target);
        return Err(Box::new(Report::new(ReportKind::Unknown, text)));
    };
    tracing::trace!(job = entry.name(), "job begins");
    begin_cpu_time().map_err(|error| {
        let text = format!("the processor time of the job cannot be limited: {error}");
        Box::new(Report::new(ReportKind::Unknown, text))
    })?;
    let captured = capture::begin();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| entry.run(call.args, output)));
    // A text without a newline would be lost if the worker is killed while it is idle.
    let _closed_output_is_no_failure_of_the_job = std::io::stdout().flush();
    match result {
        Ok(result) => {
            captured.give_up();
            result
        }
        Err(payload) => Err(captured.into_report(payload)),
    }
}
