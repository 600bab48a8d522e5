//! What the root does about the signals that ask a program to end.
//!
//! The first one cancels the main task, so that everything beneath unwinds and ends its children in order. The second one
//! kills the children and exits. Listening has a thread of its own: a program whose event loop is stuck in a computation
//! must still end at the second Ctrl-C.
//!
//! Children of triune do not listen: they live in process groups of their own, which the terminal does not address.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use triune_scope::{CancelReason, Cause, Run};

use crate::exit::{exit_now, signal_name};
use crate::registry::kill_all;
use crate::sys;

/// The signals that ask for an end: Ctrl-C, the polite `kill`, and the terminal that goes away.
const ENDING: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Turns the signals that ask for an end into a cancel of `run`'s main task (cause [`Cause::Signal`]); the second one kills
/// all children of this process and exits with 128 plus its number.
///
/// The system task of a root; `#[triune::main]` starts it. It listens when its first poll returns, and until it is dropped. A
/// signal that is ignored when it starts (as `nohup` does with SIGHUP) stays ignored.
///
/// # Cancel safety
/// Dropping the future ends the listening. The signals do not get their old effect back: tokio's handlers stay.
///
/// A [receiver](crate::open_signal_receiver) of one of these signals comes before it, for as long as it is open.
pub async fn signals(run: Run) {
    let (stop, stopped) = oneshot::channel::<Infallible>();
    match listen(run, stopped) {
        Ok(()) => std::future::pending::<()>().await,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals; they end this program at once");
        }
    }
    drop(stop);
}

/// Starts to listen. When it returns, no signal can end this program any more before it was heard.
fn listen(run: Run, stopped: oneshot::Receiver<Infallible>) -> io::Result<()> {
    let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_io().build()?);
    let theirs = Arc::clone(&runtime);
    let installed = {
        let _inside = runtime.enter();
        Signals::install()
    };
    let listening = installed.and_then(|signals| {
        let thread = std::thread::Builder::new().name("triune-signals".to_owned());
        #[expect(
            clippy::disallowed_methods,
            reason = "the second signal must work when the event loop is stuck"
        )]
        thread.spawn(move || theirs.block_on(heed(&run, signals, stopped)))
    });
    // The thread has it, unless there is none: then it may not be dropped inside of another one.
    if let Some(unused) = Arc::into_inner(runtime) {
        unused.shutdown_background();
    }
    listening.map(drop)
}

async fn heed(run: &Run, mut signals: Signals, stopped: oneshot::Receiver<Infallible>) {
    let mut stopped = pin!(stopped);
    let mut asked = false;
    while let Some(number) =
        tokio::select! { number = signals.next() => Some(number), _ = &mut stopped => None }
    {
        let name = signal_name(number).unwrap_or("a signal");
        if asked {
            tracing::warn!(signal = name, "killing all children and ending at once");
            kill_all();
            exit_now(u8::try_from(128 + number).unwrap_or(u8::MAX));
        }
        asked = true;
        tracing::info!(signal = name, "ending; once more kills");
        run.cancel(CancelReason::new(Cause::Signal(number), name));
    }
}

struct Signals {
    installed: Vec<(i32, Signal)>,
}

impl Signals {
    fn install() -> io::Result<Self> {
        let heard = ENDING.into_iter().filter(|number| !sys::is_ignored(*number));
        let installed = heard.map(|number| Ok((number, signal(SignalKind::from_raw(number))?)));
        Ok(Self { installed: installed.collect::<io::Result<_>>()? })
    }

    async fn next(&mut self) -> i32 {
        poll_fn(|cx| {
            for (number, signal) in &mut self.installed {
                if signal.poll_recv(cx).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}
