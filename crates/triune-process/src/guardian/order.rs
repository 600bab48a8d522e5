//! One start through the guardian, from the request to the handle.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::client::Way;
use super::message::{Answer, Command, MAX_INLINE, MAX_REQUEST, Order, Request, is_bound};
use crate::child::{Child, Reaper};
use crate::output::Outputs;
use crate::owned::{Orphan, Owned};
use crate::process::Process;
use crate::program::Program;
use crate::spec::Spec;
use crate::{registry, sys};

/// How often a guardian may be on its way out just when we need it.
const ATTEMPTS: usize = 5;

/// How long the way to a guardian that has given no answer may stay open if it is on its way out.
const WAY_OUT: Duration = Duration::from_secs(2);

/// How long the guardian may take to answer. It takes half a millisecond, unless somebody has stopped it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Starts a child through the guardian. `None` if there is none to be had.
///
/// # Cancel safety
/// Dropping the future leaves nothing behind: the guardian kills what it has started for a request that is given up.
pub(crate) async fn start(spec: &Spec) -> io::Result<Option<(Process, UnixStream)>> {
    check(spec)?;
    for _ in 0..ATTEMPTS {
        let Some(way) = way().await? else { return Ok(None) };
        let order = order(spec, way.own_mark(), spec.environment(), false);
        if let Some(started) = attempt(way.socket(), order, spec, None).await? {
            return Ok(Some(started));
        }
        until_ended(&way).await?;
    }
    Err(on_its_way_out())
}

/// The same for a fork server; gives the socket for its orders as well.
///
/// # Cancel safety
/// As [`start`].
pub(crate) async fn start_fork_server(spec: &Spec) -> io::Result<Option<(Process, UnixStream, OwnedFd)>> {
    check(spec)?;
    for _ in 0..ATTEMPTS {
        let Some(way) = way().await? else { return Ok(None) };
        let (forks, theirs) = sys::message_pair()?;
        let order = order(spec, way.own_mark(), spec.environment(), true);
        if let Some((process, link)) = attempt(way.socket(), order, spec, Some(theirs)).await? {
            return Ok(Some((process, link, forks)));
        }
        until_ended(&way).await?;
    }
    Err(on_its_way_out())
}

fn on_its_way_out() -> io::Error {
    io::Error::other("the guardian ends whenever it is asked to start a process")
}

/// The way to the guardian, which is started if need be. `None` if there is none to be had.
///
/// # Cancel safety
/// A guardian that nobody asks for anything ends by itself.
async fn way() -> io::Result<Option<Way>> {
    match Way::existing() {
        Some(way) => Ok(Some(way)),
        None => open().await,
    }
}

/// Waits for the end of a guardian that has given no answer. If it lives, it could not even take the descriptor by which it
/// would have answered.
///
/// # Cancel safety
/// Nothing is lost.
async fn until_ended(way: &Way) -> io::Result<()> {
    // One that is on its way out closes all its descriptors at once.
    if timeout(WAY_OUT, way.ended()).await.is_err() {
        if !way.is_closed() {
            return Err(io::Error::other(
                "the guardian has no descriptor left, of which it needs one for each process of the tree; \
                 raise the limit of open files with which the program is started (ulimit -n)",
            ));
        }
        way.ended().await;
    }
    Ok(())
}

/// # Cancel safety
/// A guardian that nobody asks for anything ends by itself.
async fn open() -> io::Result<Option<Way>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "vfork suspends its thread; a guardian without children ends by itself"
    )]
    let opened = tokio::task::spawn_blocking(Way::open);
    opened.await.unwrap_or_else(|_panic_or_shutdown| Err(io::Error::other("the runtime is shutting down")))
}

/// What would end a text too early, or be cut off by the system.
pub(crate) fn check(spec: &Spec) -> io::Result<()> {
    let nul = |text: &OsString| text.as_bytes().contains(&0);
    let variables = spec.env.iter().any(|(key, value)| nul(key) || nul(value));
    let program = spec.program.as_ref().is_some_and(Program::holds_zero);
    if variables || program || spec.name.contains('\0') {
        let what = "a name, an argument or a variable holds a zero byte";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

/// What to ask for.
pub(crate) fn order(spec: &Spec, owner: u64, env: Vec<OsString>, forks: bool) -> Order {
    let (role, name) = (spec.role.to_owned(), spec.name.clone());
    let args = spec.arguments();
    Order { owner, parent: std::process::id(), grace: spec.grace, forks, role, name, args, env }
}

/// Sends one order, and waits until the guardian has the child. `forks` is what a fork server gets its orders by.
///
/// `None` if the other end has gone instead: it has not started anything that lives.
///
/// # Cancel safety
/// As [`start`].
pub(crate) async fn attempt(
    socket: BorrowedFd<'_>,
    order: Order,
    spec: &Spec,
    forks: Option<OwnedFd>,
) -> io::Result<Option<(Process, UnixStream)>> {
    let (link, their_link) = UnixStream::pair()?;
    let (channel, their_channel) = sys::message_pair()?;
    let (outputs, stdout, stderr) = Outputs::open(spec.stdio, &spec.name)?;
    let folder = spec.open_folder()?;
    let bound = is_bound(order.grace);
    let mut request = Request::Spawn(order).encode();
    if request.len() > MAX_REQUEST {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let mut fds = vec![their_channel, their_link.into(), stdout, stderr, folder];
    fds.extend(forks);
    if request.len() > MAX_INLINE {
        fds.push(sys::bytes_as_file(&request[1..])?);
        request = Request::SpawnFromFile.encode();
    }
    let unclaimed = Unclaimed::new(channel)?;
    if !send(socket, &request, &fds).await? {
        return Ok(None);
    }
    // Their ends must be open in the child only, or its death would not close them.
    drop(fds);
    let answer = timeout(ANSWER_LIMIT, unclaimed.answer()).await;
    let answered =
        answer.map_err(|_elapsed| io::Error::new(io::ErrorKind::TimedOut, "the guardian does not answer"))?;
    let Some((pid, handle)) = answered? else { return Ok(None) };
    let (channel, watch) = unclaimed.claim();
    let reaper = Reaper::Guardian { channel, bound };
    let child = Child::new(pid, handle, spec.role, spec.name.clone(), reaper, outputs);
    let child = Arc::new(child);
    registry::insert(&child);
    let process = Process::new(Owned::guarded(Orphan::new(child), watch)?);
    tracing::debug!(pid, name = process.name(), role = spec.role, "child started");
    Ok(Some((process, link)))
}

/// Reads an order that was too long for a message.
pub(crate) fn read_order(file: OwnedFd) -> Option<Order> {
    let mut bytes = Vec::new();
    File::from(file).take(MAX_REQUEST as u64 + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() > MAX_REQUEST { None } else { Order::decode(&bytes) }
}

/// Sends a request; false if the other end is gone.
async fn send(socket: BorrowedFd<'_>, request: &[u8], fds: &[OwnedFd]) -> io::Result<bool> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    loop {
        match sys::send_message(socket, request, &fds) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Many start at once. A reactor takes each descriptor only once, so we watch a copy.
                let watch = sys::watch_for_room(socket.try_clone_to_owned()?)?;
                drop(watch.writable().await?);
            }
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
    )
}

/// The channel of a child that nobody holds yet: dropped, it has the guardian kill what it has started.
struct Unclaimed {
    channel: Arc<OwnedFd>,
    /// Taken by the claim.
    watch: Option<AsyncFd<Arc<OwnedFd>>>,
}

impl Unclaimed {
    fn new(channel: OwnedFd) -> io::Result<Self> {
        let channel = Arc::new(channel);
        let watch = Some(sys::watch(Arc::clone(&channel))?);
        Ok(Self { channel, watch })
    }

    /// The guardian's first answer: the child's number and handle. `None` if the guardian has ended instead.
    async fn answer(&self) -> io::Result<Option<(u32, OwnedFd)>> {
        let watch = self.watch.as_ref().expect("it is taken by the claim, which consumes this");
        let mut buffer = [0; 1024];
        loop {
            let mut ready = watch.readable().await?;
            let message = match sys::receive_message(self.channel.as_fd(), &mut buffer) {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    continue;
                }
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let handle = message.fds.into_iter().next();
            return match (Answer::decode(&buffer[..message.len]), handle) {
                (Some(Answer::Started { pid }), Some(handle)) => Ok(Some((pid, handle))),
                (Some(Answer::Failed { errno: 0, text }), _) => Err(io::Error::other(text)),
                (Some(Answer::Failed { errno, .. }), _) => Err(io::Error::from_raw_os_error(errno)),
                _ if message.len == 0 => Ok(None),
                _ => Err(io::Error::other("the guardian gives an answer that makes no sense")),
            };
        }
    }

    fn claim(mut self) -> (Arc<OwnedFd>, AsyncFd<Arc<OwnedFd>>) {
        let watch = self.watch.take().expect("it is claimed once");
        (Arc::clone(&self.channel), watch)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if self.watch.is_some() {
            // If it is gone, it has started nothing that lives.
            let _gone = sys::send_message(self.channel.as_fd(), &Command::Kill.encode(), &[]);
        }
    }
}
