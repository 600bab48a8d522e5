//! The loop of an actor: takes requests until it is asked to end or its parent is gone.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use triune_ipc::{Config, ConnectError, Incoming, Link, LinkEnd, Request, connect};
use triune_process::{build_id, exit_code};
use triune_scope::__primitive::{primitive, start_here};
use triune_scope::{CancelScope, Nursery, Result, Run, nursery};
use triune_wire::{BuildId, Hello, target};

use super::{ORPHAN_GRACE, fail, meet, millis, parent_gone, request};
use crate::identity::current_path;
use crate::reason::from_message;
use crate::settings::{ROLE, Settings};

/// How long the last answers may take to leave when everything else is done.
pub(super) const FLUSH: Duration = Duration::from_millis(200);

/// Serves the parent until the end. Returns the exit code.
pub(super) async fn serve(stream: UnixStream, root: CancelScope, grace: &AtomicU64) -> u8 {
    let hello = Hello::new(BuildId::new(build_id()), ROLE, current_path());
    let (link, mut driver, incoming) = match connect(stream, Config::new(hello)).await {
        Ok(connected) => connected,
        // The parent has given the start up, or is gone. Nobody wants to hear of it.
        Err(ConnectError::Closed) => return exit_code::PARENT_GONE,
        Err(error) => return fail(&error.to_string()),
    };
    let settings = triune_wire::decode(&link.peer().config)
        .unwrap_or(Settings { grace: ORPHAN_GRACE, spin: Duration::ZERO });
    grace.store(millis(settings.grace), Ordering::Relaxed);
    driver.set_spin(settings.spin);
    let run = Run::current();
    let parent = Parent { link: link.clone(), settings };
    let serving = run.main(root.run(accept_all(incoming, root.clone(), parent)));
    let clean = driver
        .drive_beside(serving, |end| {
            root.cancel(parent_gone(how(&end)));
            // The requests learn of it by their scope; what they wait for on the link is over.
            link.close(end);
        })
        .await;
    meet::farewell().await;
    flush(&link, driver).await;
    run.close().await;
    match clean.and_then(triune_scope::Outcome::done) {
        Some(Err(error)) if !error.is_cancelled() => {
            tracing::error!(actor = current_path(), "the loop of the actor failed: {error:#}");
            exit_code::PANIC
        }
        _ => 0,
    }
}

/// Sends what is queued, and the goodbye after it.
async fn flush(link: &Link, mut driver: triune_ipc::Driver) {
    link.goodbye();
    if tokio::time::timeout(FLUSH, driver.drive()).await.is_err() {
        tracing::debug!(actor = current_path(), "the parent does not read the last answers");
    }
}

fn how(end: &LinkEnd) -> Cow<'static, str> {
    match end {
        LinkEnd::Eof => "the parent process is gone".into(),
        end => format!("the link to the parent has ended: {end}").into(),
    }
}

/// What an actor has from its parent.
struct Parent {
    link: Link,
    settings: Settings,
}

async fn accept_all(incoming: Incoming, root: CancelScope, parent: Parent) -> Result {
    nursery(async |n| accept(n, incoming, root, &parent).await).await
}

/// How many requests in a row are polled where they are taken, before the link and the others have their turn.
const IN_A_ROW: usize = 64;

/// Gives each request a child of its own.
async fn accept<'a>(n: Nursery<'a>, mut incoming: Incoming, root: CancelScope, parent: &'a Parent) -> Result {
    // One wait for all of them, so that the scope is told of it once and not for each.
    let requests = async {
        let mut in_a_row = 0;
        loop {
            let mut next = pin!(incoming.recv());
            let next = poll_fn(|cx| {
                let polled = next.as_mut().poll(cx);
                if polled.is_pending() {
                    in_a_row = 0;
                }
                polled
            });
            let Some(request) = next.await else { return };
            in_a_row += 1;
            match request {
                Request::Call(call) if call.target >= target::RESERVED => {
                    drop(n.spawn(meet::answer(&parent.link, call)));
                }
                // Most end in their first poll.
                Request::Call(call) if in_a_row <= IN_A_ROW => start_here(&n, request::call(call)),
                Request::Call(call) => drop(n.spawn(request::call(call))),
                Request::Open(dialog) => drop(n.spawn(request::dialog(dialog))),
                Request::Introduction(introduction) => {
                    n.daemon(meet::meet(n.clone(), introduction, parent.settings));
                }
                Request::Cancel(message) => root.cancel(from_message(&message)),
                _ => tracing::warn!(actor = current_path(), "a request of an unknown kind was refused"),
            }
        }
    };
    primitive("requests", requests).await?;
    Ok(())
}
