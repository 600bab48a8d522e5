//! The thread that reads what all children write. It lives while there is something to read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stream::Stream;
use crate::sys;

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

/// Whether there are streams that have not ended.
pub(super) fn is_busy() -> bool {
    relay().is_some()
}

/// Has the thread look again.
pub(super) fn wake() {
    if let Some(running) = relay().as_ref() {
        sys::ring(running.bell.as_fd());
    }
}

fn run(bell: &OwnedFd) {
    while let Some(streams) = streams() {
        for stream in round(bell, &streams) {
            if let Some(running) = relay().as_mut() {
                running.streams.retain(|other| !Arc::ptr_eq(other, stream));
            }
            stream.end();
        }
    }
}

/// Waits until there is something to read, and passes it on. Gives the streams that have ended.
fn round<'a>(bell: &OwnedFd, streams: &'a [Arc<Stream>]) -> Vec<&'a Arc<Stream>> {
    // Somebody who asked for a tail may have seen the end of a stream before us; then it has no pipe any more.
    let pipes: Vec<_> = streams.iter().map(|stream| stream.fd()).collect();
    let mut fds = vec![bell.as_fd()];
    fds.extend(pipes.iter().flatten().map(|pipe| pipe.as_fd()));
    // Fails only for want of memory; the next round may have some.
    let Ok(ready) = sys::block_until_any(&fds, None) else { return Vec::new() };
    let rung = ready[0];
    if rung {
        // One look serves all who rang.
        let _silent_again = sys::read(bell.as_fd(), &mut [0; 8]);
    }
    let mut ready = ready.into_iter().skip(1);
    let ready = pipes.iter().map(|pipe| pipe.is_none() || ready.next().unwrap_or(false)).collect::<Vec<_>>();
    let spoken = streams.iter().zip(ready).filter(|(_, ready)| *ready || rung);
    spoken.map(|(stream, _)| stream).filter(|stream| !stream.pass_on()).collect()
}

/// The streams to read. `None`, and no relay any more, if there are none.
fn streams() -> Option<Vec<Arc<Stream>>> {
    let mut relay = relay();
    let streams = relay.as_ref().map(|running| running.streams.clone()).filter(|streams| !streams.is_empty());
    if streams.is_none() {
        *relay = None;
    }
    streams
}
