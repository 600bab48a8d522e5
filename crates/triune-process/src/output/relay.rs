//! The thread that reads what all children write. It lives while there is something to read, and a moment longer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::stream::Stream;
use crate::sys;

/// How long the thread stays when there is nothing to read: the next child often comes right behind the last.
const LINGER: Duration = Duration::from_millis(50);

struct Relay {
    streams: Vec<Arc<Stream>>,
    bell: Arc<OwnedFd>,
}

/// `None` when no thread runs. The thread leaves under this lock, so that nobody counts on one that is on its way out.
static RELAY: Mutex<Option<Relay>> = Mutex::new(None);

fn relay() -> MutexGuard<'static, Option<Relay>> {
    RELAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, the stream is read.
pub(super) fn add(stream: &Arc<Stream>) -> io::Result<()> {
    let mut relay = relay();
    if let Some(running) = relay.as_mut() {
        running.streams.push(Arc::clone(stream));
        sys::ring(running.bell.as_fd());
        return Ok(());
    }
    let bell = Arc::new(sys::bell()?);
    let heard = Arc::clone(&bell);
    let thread = std::thread::Builder::new().name("triune-output".to_owned());
    #[expect(clippy::disallowed_methods, reason = "a stuck event loop must not stop the children's words")]
    thread.spawn(move || run(&heard))?;
    *relay = Some(Relay { streams: vec![Arc::clone(stream)], bell });
    Ok(())
}

/// Lets the thread go if there are no streams that have not ended. False if there are.
pub(super) fn dismiss() -> bool {
    let mut relay = relay();
    match relay.take_if(|running| running.streams.is_empty()) {
        Some(idle) => sys::ring(idle.bell.as_fd()),
        None => return relay.is_none(),
    }
    true
}

/// Has the thread look again.
pub(super) fn wake() {
    if let Some(running) = relay().as_ref() {
        sys::ring(running.bell.as_fd());
    }
}

fn run(bell: &Arc<OwnedFd>) {
    let mut is_idle = false;
    while let Some(streams) = streams(bell, is_idle) {
        let ended = round(bell, &streams);
        is_idle = streams.is_empty() && ended.is_none();
        for stream in ended.unwrap_or_default() {
            if let Some(running) = relay().as_mut() {
                running.streams.retain(|other| !Arc::ptr_eq(other, stream));
            }
            stream.end();
        }
    }
}

/// Waits until there is something to read, and passes it on. Gives the streams that have ended; `None` if there was
/// nothing for long.
fn round<'a>(bell: &OwnedFd, streams: &'a [Arc<Stream>]) -> Option<Vec<&'a Arc<Stream>>> {
    // Somebody who asked for a tail may have seen the end of a stream before us; then it has no pipe any more.
    let pipes: Vec<_> = streams.iter().map(|stream| stream.fd()).collect();
    let mut fds = vec![bell.as_fd()];
    fds.extend(pipes.iter().flatten().map(|pipe| pipe.as_fd()));
    // Fails only for want of memory; the next round may have some.
    let Ok(ready) = sys::block_until_any(&fds, streams.is_empty().then_some(LINGER)) else {
        return Some(Vec::new());
    };
    if !ready.contains(&true) {
        return None;
    }
    let rung = ready[0];
    if rung {
        // One look serves all who rang.
        let _silent_again = sys::read(bell.as_fd(), &mut [0; 8]);
    }
    let mut ready = ready.into_iter().skip(1);
    let ready = pipes.iter().map(|pipe| pipe.is_none() || ready.next().unwrap_or(false)).collect::<Vec<_>>();
    let spoken = streams.iter().zip(ready).filter(|(_, ready)| *ready || rung);
    Some(spoken.map(|(stream, _)| stream).filter(|stream| !stream.pass_on()).collect())
}

/// The streams to read. `None` if the thread that hears this bell is to leave: it was dismissed, or was idle for long and there
/// still is nothing.
fn streams(bell: &Arc<OwnedFd>, was_idle: bool) -> Option<Vec<Arc<Stream>>> {
    let mut relay = relay();
    let ours = relay.as_ref().filter(|running| Arc::ptr_eq(&running.bell, bell))?;
    let streams = ours.streams.clone();
    if was_idle && streams.is_empty() {
        *relay = None;
        return None;
    }
    Some(streams)
}
