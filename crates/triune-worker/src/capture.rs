//! Panics of jobs: their message and location are reported to the caller, and not printed here as well.
//!
//! A hook wraps the one that was there. While this thread runs a job, it keeps what a panic says; everything else (other
//! threads, panics while a panic is being unwound, builds that abort on panic) is printed as ever, since nobody would
//! report it.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use triune_wire::{Report, ReportKind};

thread_local! {
    static CAPTURE: RefCell<Capture> = const { RefCell::new(Capture::Off) };
}

enum Capture {
    /// No job runs on this thread.
    Off,
    Waiting,
    Caught(Caught),
}

struct Caught {
    message: String,
    location: Option<String>,
    backtrace: Option<String>,
}

/// Wraps the hook of this process, once: a worker that was forked has it from its fork server.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let Some(earlier) = keep(info) {
                // A second panic while the first is unwound aborts the process: say both while it is possible.
                earlier.print();
                print(info);
            }
        }));
    });
}

/// Keeps what the panic says. `Some(..)` if it is to be printed all the same, after what had been kept before.
fn keep(info: &PanicHookInfo<'_>) -> Option<Earlier> {
    if cfg!(panic = "abort") {
        return Some(Earlier(None));
    }
    CAPTURE.with_borrow_mut(|capture| {
        let earlier = match std::mem::replace(capture, Capture::Off) {
            Capture::Off => return Some(Earlier(None)),
            Capture::Waiting => None,
            Capture::Caught(caught) => Some(Earlier(Some(caught))),
        };
        *capture = Capture::Caught(Caught::of(info));
        earlier
    })
}

struct Earlier(Option<Caught>);

impl Earlier {
    fn print(self) {
        if let Some(caught) = self.0 {
            caught.print();
        }
    }
}

impl Caught {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let backtrace = Backtrace::capture();
        let has_frames = backtrace.status() == BacktraceStatus::Captured;
        Self {
            message: text(info.payload()),
            location: info.location().map(ToString::to_string),
            backtrace: has_frames.then(|| backtrace.to_string()),
        }
    }

    fn print(&self) {
        let location = self.location.as_deref().unwrap_or("an unknown place");
        let _nobody_to_tell = writeln!(std::io::stderr(), "job panicked at {location}:\n{}", self.message);
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Captures the panics of this thread until the job has ended.
pub(crate) fn begin() -> Capturing {
    CAPTURE.set(Capture::Waiting);
    Capturing(())
}

#[must_use = "it ends with the job"]
pub(crate) struct Capturing(());

impl Capturing {
    /// The job returned. A panic that it caught itself is printed, as it would have been without us.
    pub(crate) fn give_up(self) {
        if let Capture::Caught(caught) = CAPTURE.replace(Capture::Off) {
            caught.print();
        }
    }

    /// The job panicked.
    pub(crate) fn into_report(self, payload: Box<dyn Any + Send>) -> Box<Report> {
        let caught = match CAPTURE.replace(Capture::Off) {
            Capture::Caught(caught) => caught,
            // The job has put a hook of its own in place of ours, or resumed a panic of another thread.
            Capture::Off | Capture::Waiting => {
                Caught { message: text(&*payload), location: None, backtrace: None }
            }
        };
        // The payload is the job's own type, and its destructor may panic too.
        let _dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
        let mut report = Report::new(ReportKind::Panic, caught.message);
        report.location = caught.location;
        report.backtrace = caught.backtrace;
        Box::new(report)
    }
}
