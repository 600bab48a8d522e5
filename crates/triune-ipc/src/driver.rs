//! The one future that reads and writes the socket of a link.
//!
//! It runs in the task of its owner, so that a call costs no hop through a task of ours: a frame goes from
//! the caller into the outgoing lane, from there into one `writev`, and on the other side from the read
//! buffer into the slot of the waiter.
//!
//! While it rests, a caller may read in its place, see `reader`.
//!
//! A driver with a `spin` does not park at once: it looks at the socket again each time the runtime polls it,
//! and asks to be polled, so that other tasks run in between.
//!
//! Invariants:
//! 1. Reading never waits for writing, nor for a consumer: what comes in is bounded by credits and limits. After some reads it lets the
//!    consumers have their turn, so that they find their items while the processor still has them in its cache.
//! 2. A failed write does not end the link before what the other side had sent is read: its last words
//!    (an answer, a GOODBYE) are worth more than our broken pipe.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use triune_wire::{FRAME_MAX, Header, Kind, Report, ReportKind};

use crate::heartbeat::{Beat, Pulse};
use crate::intake::Intake;
use crate::mux::{Chunk, Shared, Wakes};
use crate::reader::{Left, Reading};
use crate::socket::{self, Received, Socket};
use crate::writer::{Writing, is_temporary, with_slices};
use crate::{Config, LinkEnd, ProtocolError};

/// Size of a read that takes descriptors, in bytes.
const READ: usize = 64 * 1024;
/// Why [`Driver::reading`] is there.
const HERE: &str = "it is lent only between two polls";
/// After so many bytes, others have their turn before more is read.
const TURN: usize = 4 * READ;

/// Moves the bytes of a link. Nothing happens on the link unless it is polled; dropping it ends the link.
#[must_use = "nothing happens on the link unless its driver is polled"]
pub struct Driver {
    pub(crate) shared: Arc<Shared>,
    /// Away while it is lent, which it is only between two polls.
    reading: Option<Box<Reading>>,
    /// Whether callers may read while the driver rests.
    pub(crate) lends: bool,
    /// Bytes of the handshake's buffer are not decoded yet.
    undecoded: bool,
    /// Bytes that were read since the driver was polled.
    read_in_turn: usize,
    /// There may be something to write that nobody will wake the driver for.
    may_write: bool,
    /// Kept for its memory.
    wakes: Wakes,
    /// GOODBYE is being written.
    goodbye: Option<Bytes16>,
    ended: Option<LinkEnd>,
    /// The other side ended before it had read everything.
    left_unread: bool,
    pulse: Option<Pulse>,
    spin: Duration,
    /// How long to look at the socket before parking; real time, also where tokio's clock is paused.
    spin_until: Option<Instant>,
    /// Where reads go that are not tokio's; empty until there is one.
    piece: Vec<u8>,
    accepts_introductions: bool,
    /// The other side has announced one.
    expects_introduction: bool,
}

/// What is left to write of a frame without a body.
type Bytes16 = io::Cursor<[u8; triune_wire::HEADER_LEN]>;

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, socket: Socket, buffer: BytesMut, config: &Config) -> Driver {
        shared.writer.lock().socket = Some(Arc::clone(socket.stream()));
        let undecoded = !buffer.is_empty();
        let intake = Intake::new(buffer);
        let reading = Reading { socket, intake, left: None, heard: false, waker: None };
        Driver {
            shared,
            reading: Some(Box::new(reading)),
            lends: false,
            undecoded,
            read_in_turn: 0,
            may_write: true,
            wakes: Wakes::default(),
            goodbye: None,
            ended: None,
            left_unread: false,
            pulse: config.heartbeat.map(Pulse::new),
            spin: config.spin,
            spin_until: None,
            piece: Vec::new(),
            accepts_introductions: config.accepts_introductions,
            expects_introduction: false,
        }
    }

    /// Moves bytes until the link ends, and tells the end to every wait on the link.
    ///
    /// # Cancel safety
    /// Dropping the future ends the link with [`LinkEnd::Closed`]; the socket is closed, so that the other
    /// side sees its end too.
    pub async fn run(mut self) -> LinkEnd {
        let end = self.drive().await;
        self.shared.end(end.clone());
        // Somebody else may have been first.
        self.shared.lock().end.clone().unwrap_or(end)
    }

    /// Moves bytes until the link ends, and leaves the waits on it pending: the owner may first find out
    /// why, such as the exit status of a process, and then tell them by [`Link::close`](crate::Link::close).
    /// Dropping the driver tells the end as it was seen here.
    ///
    /// # Cancel safety
    /// Nothing is lost: call it again to go on. Meanwhile nothing moves.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use std::sync::Arc;
    /// use triune_ipc::{CallEnd, Config, LinkEnd, connect};
    /// use triune_wire::{BuildId, Hello};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (one, other) = UnixStream::pair()?;
    /// # let config = || Config::new(Hello::new(BuildId::new([7; 16]), "actor", "example"));
    /// let (ours, theirs) = tokio::try_join!(connect(one, config()), connect(other, config()))?;
    /// let (link, mut driver, _incoming) = ours;
    /// let call = link.call(0, b"are you there?".to_vec());
    /// drop(theirs); // The other side goes away, and has read nothing.
    ///
    /// let end = driver.drive().await;
    /// assert!(matches!(end, LinkEnd::Eof) && driver.left_unread());
    /// let status = std::io::Error::other("killed by SIGSEGV"); // The owner has waited for the process.
    /// link.close(LinkEnd::Died(Arc::new(status)));
    /// // Nothing of it was written; a call that may have been read would be `Lost`.
    /// assert!(matches!(call.await, Err(CallEnd::NotSent(LinkEnd::Died(_)))));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drive(&mut self) -> LinkEnd {
        poll_fn(|cx| self.poll_drive(cx)).await
    }

    /// Changes for how long the driver looks at the socket before it parks; see [`Config::spin`]. For a side that learns it by the HELLO
    /// of the other one.
    pub const fn set_spin(&mut self, spin: Duration) {
        self.spin = spin;
    }

    /// Has whoever waits for the answer to the only call read the link itself, if it is polled first: for a driver with a task of its own,
    /// by [`drive_beside`](Driver::drive_beside). It saves a wake of one task by the other.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use triune_ipc::{Config, Request, connect};
    /// # use triune_wire::{BuildId, Hello};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (one, other) = std::os::unix::net::UnixStream::pair()?;
    /// # let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
    /// let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
    /// let (link, mut driver, _incoming) = caller;
    /// driver.lend();
    /// let moved = tokio::spawn(async move { driver.drive_beside(std::future::pending::<()>(), drop).await });
    /// # let (_link, mut other_driver, mut incoming) = callee;
    /// # let serve = async move {
    /// #     while let Some(Request::Call(call)) = incoming.recv().await {
    /// #         call.responder.reply(call.args);
    /// #     }
    /// # };
    /// # let served = tokio::spawn(async move { other_driver.drive_beside(serve, drop).await });
    /// // Whichever is polled first reads the answer, this task or that of the driver.
    /// assert_eq!(link.call(0, Bytes::from_static(b"hello")).await?, "hello");
    /// # moved.abort();
    /// # served.abort();
    /// # Ok(())
    /// # }
    /// ```
    pub const fn lend(&mut self) {
        self.lends = true;
    }

    /// Whether the link ended because the other side went away before it had read everything that was written
    /// to it. The last bytes that were written have then provably not been read: those of the last request, if
    /// nothing was written after it (no CANCEL of it, no CREDIT).
    ///
    /// False means that this is not known.
    pub const fn left_unread(&self) -> bool {
        self.left_unread
    }

    /// Looks for the same after the other process has ended, on a link that had ended here before ([`LinkEnd::Stalled`]).
    pub fn look_for_unread(&mut self) {
        let mut piece = [0];
        let Some(reading) = self.reading.as_ref() else { return };
        // What it has said in the meantime shows that it has read something.
        self.left_unread |= matches!(
            rustix::io::read(reading.socket.stream(), &mut piece),
            Err(rustix::io::Errno::CONNRESET)
        );
    }

    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        self.poll_drive_lending(cx, None)
    }

    /// The same; between two polls the callers may read, and `for_reading` is woken for what can be read.
    pub(crate) fn poll_drive_lending(
        &mut self,
        cx: &mut Context<'_>,
        for_reading: Option<&Waker>,
    ) -> Poll<LinkEnd> {
        if let Some(end) = &self.ended {
            return Poll::Ready(end.clone());
        }
        if !self.take_back(cx.waker(), for_reading) {
            return Poll::Pending;
        }
        let polled = self.poll_moving(cx);
        if for_reading.is_some()
            && polled.is_pending()
            && self.spin.is_zero()
            && !self.expects_introduction
            && let Some(reading) = self.reading.take()
        {
            self.shared.reader.lend(reading);
        }
        polled
    }

    /// False: a caller reads, and the driver is woken after it.
    fn take_back(&mut self, waker: &Waker, for_reading: Option<&Waker>) -> bool {
        if self.reading.is_none() {
            self.reading = self.shared.reader.take_back(waker);
        }
        let Some(reading) = &mut self.reading else { return false };
        // What has come up to now is read now.
        self.shared.reader.take_event();
        let is_known = match (&reading.waker, for_reading) {
            (Some(waker), Some(wanted)) => waker.will_wake(wanted),
            (waker, wanted) => waker.is_none() && wanted.is_none(),
        };
        if !is_known {
            reading.waker = for_reading.cloned();
        }
        if std::mem::take(&mut reading.heard) {
            self.hear();
        }
        true
    }

    fn poll_moving(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        self.read_in_turn = 0;
        self.may_write = true;
        let polled = loop {
            if std::mem::take(&mut self.may_write)
                && let Poll::Ready(end) = self.poll_write(cx)
            {
                break Poll::Ready(end);
            }
            if self.read_in_turn >= TURN {
                cx.waker().wake_by_ref();
                break Poll::Pending;
            }
            match self.poll_read(cx) {
                Poll::Ready(Err(end)) => break Poll::Ready(end),
                Poll::Ready(Ok(())) => self.wakes.run(),
                Poll::Pending => match self.poll_silence(cx) {
                    Poll::Ready(Ok(())) => self.may_write = true,
                    Poll::Ready(Err(end)) => break Poll::Ready(end),
                    Poll::Pending => break Poll::Pending,
                },
            }
        };
        self.wakes.run();
        let end = ready!(polled);
        if let LinkEnd::Protocol(error) = &end {
            self.accuse(error);
        }
        tracing::debug!(peer = %self.shared.peer.name, %end, "a link ended");
        self.ended = Some(end.clone());
        Poll::Ready(end)
    }

    /// Writes as much as the socket takes. Ready only at the end of the link.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        loop {
            let step = self.poll_write_once(cx);
            self.wakes.run();
            match ready!(step) {
                Step::Wrote => {}
                Step::Idle => return Poll::Pending,
                Step::Goodbye => return self.poll_goodbye(cx),
                Step::End(end) => return Poll::Ready(end),
            }
        }
    }

    fn poll_write_once(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        {
            let state = self.shared.lock();
            // Before any read, and so before the one that finds the descriptor: the other side sends it when it has been told, by
            // us, that it is awaited.
            self.expects_introduction = self.accepts_introductions || state.expects_introduction();
            if state.is_quiet_for(cx.waker()) {
                return Poll::Ready(Step::Idle);
            }
        }
        let mut writing = self.shared.writer.lock();
        let Writing { batch, .. } = &mut *writing;
        {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(Step::End(end.clone()));
            }
            state.take_output(batch, cx.waker(), &mut self.wakes);
            self.expects_introduction = self.accepts_introductions || state.expects_introduction();
            if batch.is_empty() {
                return Poll::Ready(if state.goodbye { Step::Goodbye } else { Step::Idle });
            }
        }
        let reading = self.reading.as_mut().expect(HERE);
        let written = match ready!(poll_write_batch(&mut reading.socket, batch, cx)) {
            Ok(written) => written,
            Err(error) => {
                drop(writing);
                return Poll::Ready(Step::End(self.write_failed(error)));
            }
        };
        let is_done = {
            let mut state = self.shared.lock();
            state.wrote(batch, written, &mut self.wakes);
            batch.is_empty() && !state.has_output()
        };
        drop(writing);
        self.is_active();
        Poll::Ready(if is_done { Step::Idle } else { Step::Wrote })
    }

    /// Nothing can be read or written now: looks once more before parking, and asks after the other side.
    /// Ready: go on.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkEnd>> {
        if let Some(until) = self.spin_until {
            // What has just come in is somebody's answer: that one first.
            if self.read_in_turn == 0 {
                self.piece.resize(READ, 0);
                let reading = self.reading.as_ref().expect(HERE);
                match socket::receive(reading.socket.stream(), &mut self.piece) {
                    Err(error) if is_temporary(&error) => {}
                    received => return Poll::Ready(self.after_receive(received)),
                }
            }
            if Instant::now() < until {
                let_others_run(cx);
            } else {
                self.spin_until = None;
            }
        }
        let Some(pulse) = &mut self.pulse else { return Poll::Pending };
        match ready!(pulse.poll(cx)) {
            Beat::Ping => {
                self.shared.lock().ping(0);
                Poll::Ready(Ok(()))
            }
            // Once more, so that the timer is polled.
            Beat::Listen => Poll::Ready(Ok(())),
            Beat::End(end) => Poll::Ready(Err(end)),
        }
    }

    /// Something was read or written: more may come at once.
    fn is_active(&mut self) {
        if !self.spin.is_zero() {
            self.spin_until = Instant::now().checked_add(self.spin);
        }
    }

    /// All is written and GOODBYE was asked for.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let rest =
            self.goodbye.get_or_insert_with(|| io::Cursor::new(Header::new(Kind::Goodbye, 0).to_bytes()));
        while rest.has_remaining() {
            let reading = self.reading.as_mut().expect(HERE);
            match ready!(reading.socket.poll_write(&[IoSlice::new(rest.chunk())], cx)) {
                Ok(n) => rest.advance(n),
                Err(error) => return Poll::Ready(self.write_failed(error)),
            }
        }
        Poll::Ready(LinkEnd::Goodbye)
    }

    /// Reads once. An error is the end of the link.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkEnd>> {
        if std::mem::take(&mut self.undecoded) {
            return Poll::Ready(self.decode());
        }
        let reading = self.reading.as_mut().expect(HERE);
        match reading.left.take() {
            None => {}
            Some(Left::Read(read)) => return Poll::Ready(self.after_read(read)),
            Some(Left::End(end)) => return Poll::Ready(Err(end)),
        }
        if self.expects_introduction {
            return self.poll_receive(cx);
        }
        let waker = reading.waker.take();
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
        let read = reading.intake.poll_read(&reading.socket, &mut cx);
        reading.waker = waker;
        Poll::Ready(self.after_read(ready!(read)))
    }

    /// Reads once, and the descriptors that come with it.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkEnd>> {
        self.piece.resize(READ, 0);
        let reading = self.reading.as_ref().expect(HERE);
        let received = ready!(reading.socket.poll_receive(&mut self.piece, cx));
        Poll::Ready(self.after_receive(received))
    }

    fn after_receive(&mut self, received: io::Result<Received>) -> Result<(), LinkEnd> {
        let Received { len, descriptors, is_cut } = match received {
            Ok(received) => received,
            Err(error) => return self.after_read(Err(error)),
        };
        self.reading.as_mut().expect(HERE).intake.extend(&self.piece[..len]);
        // Those that nobody accepts are closed here.
        if self.expects_introduction {
            let kept = self.shared.lock().on_descriptors(descriptors, is_cut);
            kept.map_err(|error| LinkEnd::Protocol(Arc::new(error)))?;
        }
        self.after_read(Ok(len))
    }

    fn after_read(&mut self, read: io::Result<usize>) -> Result<(), LinkEnd> {
        match read {
            Ok(0) => Err(match self.reading.as_ref().expect(HERE).intake.finish() {
                Ok(()) => LinkEnd::Eof,
                Err(error) => LinkEnd::Protocol(Arc::new(error.into())),
            }),
            Ok(n) => {
                self.read_in_turn += n;
                self.hear();
                self.decode()
            }
            // A peer that dies with unread bytes in its socket resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.left_unread = true;
                Err(LinkEnd::Eof)
            }
            Err(error) => Err(LinkEnd::Io(Arc::new(error))),
        }
    }

    /// The other side has given a sign of life.
    fn hear(&mut self) {
        if let Some(pulse) = &mut self.pulse {
            pulse.heard();
        }
        self.is_active();
    }

    /// Applies all frames that are complete.
    fn decode(&mut self) -> Result<(), LinkEnd> {
        let mut state = self.shared.lock();
        let reading = self.reading.as_mut().expect(HERE);
        reading.decode(&mut state, &mut self.wakes)?;
        if !state.descriptors.is_empty() && !reading.intake.may_be_in(Kind::Introduce) {
            // The next introduction would get it.
            let (kind, reason) = (Kind::Introduce, "a descriptor came without it");
            return Err(LinkEnd::Protocol(Arc::new(ProtocolError::Unexpected { kind, id: 0, reason })));
        }
        // What came in may have something to write as its consequence.
        self.may_write |= state.has_output();
        Ok(())
    }

    /// The other side takes no more bytes. What it had sent before decides how the link ended.
    fn write_failed(&mut self, error: io::Error) -> LinkEnd {
        self.left_unread = true;
        loop {
            let reading = self.reading.as_mut().expect(HERE);
            // Not through the runtime: its view of the socket may be older than the end of the other side.
            match reading.intake.read(reading.socket.stream()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It lives, but has shut down its reading half: no answer can be hoped for.
                Err(none) if none.kind() == io::ErrorKind::WouldBlock => return LinkEnd::Io(Arc::new(error)),
                read => {
                    if let Err(end) = self.after_read(read) {
                        return end;
                    }
                }
            }
        }
    }

    /// Tells the other side what it did wrong, if that is possible right now.
    fn accuse(&mut self, error: &ProtocolError) {
        // In the middle of a frame it would not be understood.
        let is_in_a_frame = self.shared.writer.lock().batch.front().is_some_and(Chunk::is_started);
        if self.goodbye.is_some() || is_in_a_frame {
            return;
        }
        let body = Report::new(ReportKind::Protocol, error.to_string()).to_bytes(FRAME_MAX);
        let mut frame = BytesMut::with_capacity(triune_wire::HEADER_LEN + body.len());
        Header::new(Kind::Goodbye, 0).frame(&body, &mut frame);
        let Some(reading) = &self.reading else { return };
        if let Err(error) = socket::write(reading.socket.stream(), &[IoSlice::new(&frame)]) {
            tracing::debug!(%error, "the peer could not be told what it did wrong");
        }
    }
}

/// Asks to be polled again after everybody else had a turn. A plain wake would be polled as often as the runtime likes before
/// it comes to the task that was given to `block_on`.
fn let_others_run(cx: &mut Context<'_>) {
    if pin!(tokio::task::yield_now()).poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}

/// What came of a look at what is to be written.
enum Step {
    Wrote,
    /// There is nothing, and the waker is where whoever queues something finds it.
    Idle,
    /// There is nothing, and GOODBYE was asked for.
    Goodbye,
    End(LinkEnd),
}

/// Writes from the front of the batch. A descriptor goes with the first byte of its chunk, and with no other descriptor.
fn poll_write_batch(
    socket: &mut Socket,
    batch: &mut VecDeque<Chunk>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let Some(passed) = batch.front_mut().and_then(|chunk| chunk.descriptor.take()) else {
        return with_slices(batch, |slices| socket.poll_write(slices, cx));
    };
    // What follows goes in the same write, so that it does not wake the reader once more.
    let sent = with_slices(batch, |slices| socket.poll_send(slices, passed.as_fd(), cx));
    if sent.is_pending()
        && let Some(chunk) = batch.front_mut()
    {
        chunk.descriptor = Some(passed);
    }
    sent
}

impl Drop for Driver {
    fn drop(&mut self) {
        let end = self.ended.take().unwrap_or(LinkEnd::Closed);
        self.shared.end(end);
        self.shared.close_socket();
        self.shared.reader.close();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("peer", &self.shared.peer.name)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
