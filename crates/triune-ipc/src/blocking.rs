//! The serving side of a link without a runtime: a plain loop over a blocking socket.
//!
//! It is what a worker process runs on its main thread: one call at a time, no tasks, no cancellation but
//! the death of the process. Owns its socket; starts nothing.
//!
//! Invariants:
//! 1. Every call gets exactly one terminal frame: one that the caller of [`Server::next`] left without an
//!    answer is answered by the next `next`.
//! 2. No more than one call is given out. This side announces how many it takes before it has answered the first
//!    ([`Server::accept_ahead`]); those that come early wait in the read buffer and in the socket, in their order.
//! 3. A call is not given out before the answer of the one before it is written, or kept by the user where the other side
//!    finds it ([`Server::reply_later`]). So a caller that misses an answer at the end of the link knows that no later call was begun.
//! 4. What is to be written later is written before anything else, and before this side waits.

mod buffer;
mod later;

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buffer::Buffer;
use bytes::{Buf, Bytes, BytesMut};
use rustix::net::SendFlags;
use triune_wire::{
    FRAME_MAX, FrameDecoder, FrameError, HEADER_LEN, Header, Hello, Kind, Pieces, REQUEST_HEAD_MAX, Report,
    ReportKind, RequestHead, TOTAL_LEN, flag, total_head,
};

use crate::handshake::{decode, ended, frame, prepare};
use crate::writer::is_temporary;
use crate::{Config, ConnectError, LinkEnd, ProtocolError};

/// Serves the calls of one link, one after the other. Dropping it closes the link.
///
/// ```
/// use triune_ipc::CallEnd;
/// use triune_ipc::blocking::Server;
/// use triune_wire::{Report, ReportKind};
/// # use std::os::unix::net::UnixStream;
/// # use triune_ipc::{Config, Link, LinkEnd, connect};
/// # use triune_wire::{BuildId, Hello};
/// # fn config(role: &str) -> Config {
/// #     Config::new(Hello::new(BuildId::new([7; 16]), role, "example"))
/// # }
/// # /// Runs the caller's side beside a thread with the server.
/// # fn beside<F: Future>(serve: impl FnOnce(UnixStream) + Send, ask: impl FnOnce(Link) -> F) -> F::Output {
/// #     let (one, other) = UnixStream::pair().unwrap();
/// #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// #     std::thread::scope(|threads| {
/// #         threads.spawn(|| serve(other));
/// #         runtime.block_on(async {
/// #             let (link, driver, _incoming) = connect(one, config("root")).await.unwrap();
/// #             let ask = async { let answer = ask(link.clone()).await; link.goodbye(); answer };
/// #             tokio::join!(ask, driver.run()).0
/// #         })
/// #     })
/// # }
/// // What a worker does on its main thread.
/// let serve = |socket| -> () {
///     let mut server = Server::accept(socket, &config("worker")).expect("the two sides can talk");
///     assert_eq!(server.peer().role, "root");
///     while let Ok(Some(call)) = server.next() {
///         let answered = match call.target {
///             0 => server.reply(call.id, &call.args),
///             1 => server.reply_parts(call.id, [&b"twice: "[..], &call.args[..], &call.args[..]]),
///             _ => server.fail(call.id, &Report::new(ReportKind::Unknown, "no such job")),
///         };
///         answered.expect("the caller is there");
///         server.reuse(call.args);
///     }
/// };
/// let ask = async |link: Link| {
///     assert_eq!(&link.call(0, b"echo".to_vec()).await?[..], b"echo");
///     assert_eq!(&link.call(1, b"ha".to_vec()).await?[..], b"twice: haha");
///     assert_eq!(link.call(2, Vec::new()).await.unwrap_err().to_string(), "no such job");
///     Ok::<_, CallEnd>(())
/// };
/// beside(serve, ask)?;
/// # Ok::<_, CallEnd>(())
/// ```
#[derive(Debug)]
pub struct Server {
    stream: UnixStream,
    peer: Hello,
    max_message: usize,
    buffer: Buffer,
    last_seen: u64,
    /// The request of which some pieces are missing.
    arriving: Option<Arriving>,
    /// Memory for the next one, initialised up to its length.
    spare: BytesMut,
    /// How long to look at the socket before sleeping.
    spin: Duration,
    /// The call that was given out and not answered.
    open: Option<u64>,
    /// How much was lent and recalled since the last call.
    loans: usize,
    /// What was recalled and not told yet.
    recalled: Vec<u64>,
    /// Answers that are to be written with the next one.
    later: Vec<u8>,
    /// Held while frames are written, if somebody else may write, too.
    pen: Option<Arc<Mutex<()>>>,
}

/// A file that the other side lends, or does not lend any more.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loan {
    /// The file is known by this number from now on.
    Lent {
        /// Chosen by the other side.
        number: u64,
        /// The file. `None` if this process may not open any more.
        file: Option<OwnedFd>,
    },
    /// What is known by this number is to be forgotten.
    Recalled {
        /// That of an earlier loan.
        number: u64,
    },
}

/// Signs of life of a [`Server`], from any thread: for a peer that [listens](crate::Heartbeat::listening) for them, also while a call is
/// served.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::time::Duration;
/// use triune_ipc::blocking::Server;
/// use triune_ipc::{Config, Heartbeat, connect};
/// use triune_wire::{BuildId, Hello};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
/// let (one, other) = UnixStream::pair()?;
/// let worker = std::thread::spawn(move || {
///     let mut server = Server::accept(other, &config("worker")).expect("the two sides can talk");
///     let pulse = server.pulse().expect("there are descriptors");
///     let Ok(Some(call)) = server.next() else { panic!("a call was made") };
///     for _part_of_a_long_computation in 0..3 {
///         pulse.beat();
///     }
///     server.reply(call.id, b"done").expect("the caller is there");
/// });
///
/// let mut watchful = config("root");
/// watchful.heartbeat = Some(Heartbeat::listening(Duration::from_secs(5)));
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (link, driver, _incoming) = connect(one, watchful).await?;
/// let ask = async {
///     let answer = link.call(0, Vec::new()).await;
///     link.goodbye();
///     answer
/// };
/// let (answer, _end) = tokio::join!(ask, driver.run());
/// assert_eq!(&answer?[..], b"done");
/// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
/// # worker.join().map_err(|_panic| "the worker panicked")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pulse {
    stream: UnixStream,
    pen: Arc<Mutex<()>>,
}

impl Pulse {
    /// Gives a sign of life, if there is no other one being written. Does not wait for a peer that does not read.
    pub fn beat(&self) {
        // Whoever has the pen gives a sign by what it writes.
        let Ok(_pen) = self.pen.try_lock() else { return };
        let sign = Header::new(Kind::Pong, 0).to_bytes();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // It goes as a whole or not at all. A link that has ended is the server's business.
        match rustix::net::send(&self.stream, &sign, flags) {
            Ok(sent) if sent < sign.len() => {
                let _gone = (&self.stream).write_all(&sign[sent..]);
            }
            _ => {}
        }
    }
}

/// A call of the other side. Answer it by [`Server::reply`] or [`Server::fail`] with its id.
#[derive(Debug)]
#[non_exhaustive]
pub struct BlockingCall {
    /// Number of the call.
    pub id: u64,
    /// Index of the target in this side's registry.
    pub target: u32,
    /// The arguments, as the caller gave them.
    pub args: Bytes,
}

/// A request that comes in pieces.
#[derive(Debug)]
struct Arriving {
    id: u64,
    kind: Kind,
    body: BytesMut,
    filled: usize,
}

impl Server {
    /// Shakes hands over this socket.
    ///
    /// With a [`Config::heartbeat`], an answer of which the other side takes nothing for as long as that lasts ends the link as
    /// [`Stalled`](LinkEnd::Stalled). Without one it waits until the other side reads on or goes away.
    ///
    /// # Errors
    /// As [`connect`](crate::connect).
    pub fn accept(stream: UnixStream, config: &Config) -> Result<Server, ConnectError> {
        Server::accept_ahead(stream, config, 1)
    }

    /// As [`accept`](Server::accept), and lets the other side send so many calls before the first of them is answered.
    /// They are given out one by one, in their order. While a call comes in pieces no other may come.
    ///
    /// # Errors
    /// As [`connect`](crate::connect).
    ///
    /// ```
    /// use triune_ipc::CallEnd;
    /// use triune_ipc::blocking::Server;
    /// # use std::os::unix::net::UnixStream;
    /// # use triune_ipc::{Config, Link, LinkEnd, connect};
    /// # use triune_wire::{BuildId, Hello};
    /// # fn config(role: &str) -> Config {
    /// #     Config::new(Hello::new(BuildId::new([7; 16]), role, "example"))
    /// # }
    /// # /// Runs the caller's side beside a thread with the server.
    /// # fn beside<F: Future>(serve: impl FnOnce(UnixStream) + Send, ask: impl FnOnce(Link) -> F) -> F::Output {
    /// #     let (one, other) = UnixStream::pair().unwrap();
    /// #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// #     std::thread::scope(|threads| {
    /// #         threads.spawn(|| serve(other));
    /// #         runtime.block_on(async {
    /// #             let (link, driver, _incoming) = connect(one, config("root")).await.unwrap();
    /// #             let ask = async { let answer = ask(link.clone()).await; link.goodbye(); answer };
    /// #             tokio::join!(ask, driver.run()).0
    /// #         })
    /// #     })
    /// # }
    /// let serve = |socket| -> () {
    ///     let mut server = Server::accept_ahead(socket, &config("worker"), 3).expect("the two sides can talk");
    ///     let mut turn = 0;
    ///     while let Ok(Some(call)) = server.next() {
    ///         turn += 1;
    ///         server.reply(call.id, &[turn]).expect("the caller is there");
    ///     }
    /// };
    /// let ask = async |link: Link| {
    ///     // Three at a time: the second and the third are sent before the first is answered.
    ///     assert_eq!(link.peer().limits.max_in_flight, 3);
    ///     let (a, b, c) = tokio::try_join!(link.call(0, vec![]), link.call(0, vec![]), link.call(0, vec![]))?;
    ///     Ok::<_, CallEnd>([a[0], b[0], c[0]])
    /// };
    /// assert_eq!(beside(serve, ask)?, [1, 2, 3]);
    /// # Ok::<_, CallEnd>(())
    /// ```
    pub fn accept_ahead(stream: UnixStream, config: &Config, calls: u32) -> Result<Server, ConnectError> {
        prepare(&stream);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(config.handshake_timeout))?;
        let mut hello = config.hello.clone();
        hello.limits.max_in_flight = calls.max(1);
        match (&stream).write_all(&frame(&hello)?) {
            // It may have refused us and gone; what it said tells more than the broken pipe.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
        let mut buffer = Buffer::new();
        let mut decoder = FrameDecoder::new();
        let body = loop {
            if let Some(body) = decode(&mut decoder, &mut buffer.bytes)? {
                break body;
            }
            match buffer.fill(&stream) {
                Ok(0) => return Err(ended(&buffer.bytes)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(ConnectError::Timeout { after: config.handshake_timeout });
                }
                Err(error) => return Err(error.into()),
            }
        };
        let peer = config.hello.accept(&body).map_err(ConnectError::Hello)?;
        stream.set_read_timeout(None)?;
        let patience = config.heartbeat.map(|heartbeat| heartbeat.every.saturating_add(heartbeat.patience));
        stream.set_write_timeout(patience.map(|patience| patience.max(Duration::from_micros(1))))?;
        Ok(Server {
            stream,
            peer,
            max_message: config.hello.limits.max_message as usize,
            buffer,
            last_seen: 0,
            arriving: None,
            spare: BytesMut::new(),
            spin: config.spin,
            open: None,
            loans: 0,
            recalled: Vec::new(),
            later: Vec::new(),
            pen: None,
        })
    }

    /// Changes for how long the server looks at the socket before it sleeps; see [`Config::spin`]. For a side that is told by its first call.
    pub const fn set_spin(&mut self, spin: Duration) {
        self.spin = spin;
    }

    /// A way to give signs of life while this thread is busy.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn pulse(&mut self) -> io::Result<Pulse> {
        let stream = self.stream.try_clone()?;
        let pen = Arc::clone(self.pen.get_or_insert_default());
        Ok(Pulse { stream, pen })
    }

    /// What the other side said about itself.
    pub const fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Waits for the next call. `None`: the other side said GOODBYE, asked this whole side to cancel itself,
    /// or is gone.
    ///
    /// A call that was given out before and was not answered is answered first, with a report of kind
    /// [`ReportKind::Dropped`]. Dialogs are refused. A CANCEL is ignored: here a call ends by its answer or
    /// with its process. What is lent is closed.
    ///
    /// # Errors
    /// The link broke, or the other side broke the protocol.
    #[expect(clippy::should_implement_trait, reason = "an iterator would have to go on after an error")]
    pub fn next(&mut self) -> Result<Option<BlockingCall>, LinkEnd> {
        self.next_taking(drop)
    }

    /// As [`next`](Server::next), and gives what is lent and recalled to `take`: what the arguments of a call may refer to comes
    /// before the call. What is recalled is told when there is nothing else to do: to give it back may take longer than a call.
    ///
    /// # Errors
    /// The link broke, or the other side broke the protocol.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::{Read, Write};
    /// use std::sync::Arc;
    /// use triune_ipc::CallEnd;
    /// use triune_ipc::blocking::{Loan, Server};
    /// # use std::os::unix::net::UnixStream;
    /// # use triune_ipc::{Config, Link, LinkEnd, connect};
    /// # use triune_wire::{BuildId, Hello};
    /// # fn config(role: &str) -> Config {
    /// #     Config::new(Hello::new(BuildId::new([7; 16]), role, "example"))
    /// # }
    /// # /// Runs the caller's side beside a thread with the server.
    /// # fn beside<F: Future>(serve: impl FnOnce(UnixStream) + Send, ask: impl FnOnce(Link) -> F) -> F::Output {
    /// #     let (one, other) = UnixStream::pair().unwrap();
    /// #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// #     std::thread::scope(|threads| {
    /// #         threads.spawn(|| serve(other));
    /// #         runtime.block_on(async {
    /// #             let (link, driver, _incoming) = connect(one, config("root")).await.unwrap();
    /// #             let ask = async { let answer = ask(link.clone()).await; link.goodbye(); answer };
    /// #             tokio::join!(ask, driver.run()).0
    /// #         })
    /// #     })
    /// # }
    /// let serve = |socket| -> () {
    ///     let mut server = Server::accept(socket, &config("worker")).expect("the two sides can talk");
    ///     let mut text = String::new();
    ///     let call = server.next_taking(|loan| {
    ///         let Loan::Lent { number: 7, file: Some(file) } = loan else { panic!("not lent: {loan:?}") };
    ///         File::from(file).read_to_string(&mut text).expect("it is open");
    ///     });
    ///     let Ok(Some(call)) = call else { panic!("a call was made") };
    ///     server.reply(call.id, text.as_bytes()).expect("the caller is there");
    /// };
    /// let ask = async |link: Link| {
    ///     let (reader, mut writer) = std::io::pipe().expect("there are descriptors");
    ///     writer.write_all(b"lent, not sent").expect("somebody reads");
    ///     drop(writer);
    ///     link.lend(7, Arc::new(reader.into()));
    ///     let answer = link.call(0, Vec::new()).await;
    ///     link.recall(7);
    ///     answer
    /// };
    /// assert_eq!(&beside(serve, ask)?[..], b"lent, not sent");
    /// # Ok::<_, CallEnd>(())
    /// ```
    pub fn next_taking(&mut self, mut take: impl FnMut(Loan)) -> Result<Option<BlockingCall>, LinkEnd> {
        if let Some(id) = self.open {
            self.fail(id, &Report::new(ReportKind::Dropped, "the handler went away without an answer"))?;
        }
        self.tell_recalled(&mut take);
        loop {
            let Some(header) = self.read_header(&mut take)? else { return Ok(None) };
            let Header { kind, id, len, .. } = header;
            if kind == Kind::Piece {
                if let Some(call) = self.read_piece(id, len as usize)? {
                    return Ok(Some(call));
                }
                continue;
            }
            let body = self.read_body(len as usize)?;
            match kind {
                Kind::Call | Kind::Open => {
                    if let Some(call) = self.request(header, body)? {
                        return Ok(Some(call));
                    }
                }
                Kind::Cancel if id == 0 => return Ok(None),
                Kind::Cancel | Kind::Pong => {}
                Kind::Lend | Kind::Recall => self.loan(kind, id, &mut take)?,
                Kind::Ping => self.write(Header::new(Kind::Pong, id), &[])?,
                Kind::Goodbye if body.is_empty() => return Ok(None),
                Kind::Goodbye => {
                    let report = Report::from_bytes(&body).map_err(|error| malformed(kind, &error))?;
                    return Err(LinkEnd::Refused(Arc::new(report)));
                }
                _ => return Err(unexpected(kind, id, "this side made no request")),
            }
        }
    }

    fn loan(&mut self, kind: Kind, number: u64, take: &mut impl FnMut(Loan)) -> Result<(), LinkEnd> {
        self.loans += 1;
        if self.loans > LOANS_MAX {
            return Err(protocol(ProtocolError::Overrun {
                kind,
                id: number,
                bound: "1024 loans before a call",
            }));
        }
        if kind == Kind::Recall {
            self.recalled.push(number);
            return Ok(());
        }
        if self.recalled.contains(&number) {
            self.tell_recalled(take);
        }
        take(Loan::Lent { number, file: self.buffer.descriptors.pop_front() });
        Ok(())
    }

    fn tell_recalled(&mut self, take: &mut impl FnMut(Loan)) {
        self.recalled.drain(..).for_each(|number| take(Loan::Recalled { number }));
    }

    /// A request, or the beginning of one.
    fn request(&mut self, header: Header, body: Bytes) -> Result<Option<BlockingCall>, LinkEnd> {
        let Header { kind, id, flags, .. } = header;
        if id <= self.last_seen {
            return Err(unexpected(kind, id, "ids of requests must grow"));
        }
        if self.arriving.is_some() {
            let bound = "the one request that this side takes at a time";
            return Err(protocol(ProtocolError::Overrun { kind, id, bound }));
        }
        self.last_seen = id;
        if flags & flag::PIECES == 0 {
            return self.arrived(kind, id, body);
        }
        let (total, first) =
            Pieces::split_first(body).ok_or_else(|| malformed(kind, &"a length that needs no pieces"))?;
        if total as usize > self.max_message + REQUEST_HEAD_MAX {
            return Err(protocol(ProtocolError::Overrun { kind, id, bound: "the limit of a message" }));
        }
        let mut body = self.room_for(total as usize);
        body[..first.len()].copy_from_slice(&first);
        self.arriving = Some(Arriving { id, kind, body, filled: first.len() });
        Ok(None)
    }

    /// Memory of this length: that which was given back, if it is large enough, since fresh pages cost more than
    /// what is copied into them.
    fn room_for(&mut self, len: usize) -> BytesMut {
        let mut room = std::mem::take(&mut self.spare);
        if room.capacity() < len {
            // The memory is only reserved: a page is taken when a byte of it is written.
            room = BytesMut::zeroed(len + SLACK);
        }
        room.resize(len, 0);
        room
    }

    /// Gives back the memory of a call's arguments, for the next ones that come in pieces. It is dropped if somebody else
    /// has a part of it, or if it is more than 16 MiB.
    pub fn reuse(&mut self, args: Bytes) {
        if args.len() > FRAME_MAX as usize
            && let Ok(room) = args.try_into_mut()
            && (self.spare.capacity()..=KEPT).contains(&room.capacity())
        {
            self.spare = room;
        }
    }

    /// The rest of a PIECE, into its place.
    fn read_piece(&mut self, id: u64, len: usize) -> Result<Option<BlockingCall>, LinkEnd> {
        let Some(mut arriving) = self.arriving.take_if(|arriving| arriving.id == id) else {
            return Err(unexpected(Kind::Piece, id, "there is no message that it belongs to"));
        };
        if len == 0 {
            self.open = Some(id);
            let report = Report::new(ReportKind::Cancelled, "it was given up by its caller");
            return self.fail(id, &report).map(|()| None);
        }
        let end = arriving.filled + len;
        let Some(place) = arriving.body.get_mut(arriving.filled..end) else {
            return Err(unexpected(Kind::Piece, id, "the pieces are longer than the message"));
        };
        self.flush()?;
        self.buffer.read_exact(&self.stream, place)?;
        if end == arriving.body.len() {
            return self.arrived(arriving.kind, id, arriving.body.freeze());
        }
        self.arriving = Some(Arriving { filled: end, ..arriving });
        Ok(None)
    }

    /// A request is complete.
    fn arrived(&mut self, kind: Kind, id: u64, body: Bytes) -> Result<Option<BlockingCall>, LinkEnd> {
        self.open = Some(id);
        self.loans = 0;
        if kind == Kind::Open {
            let text = "this side of the link serves no dialogs";
            return self.fail(id, &Report::new(ReportKind::Unknown, text)).map(|()| None);
        }
        let (head, args) =
            RequestHead::split(body).ok_or_else(|| malformed(kind, &"its head cannot be read"))?;
        Ok(Some(BlockingCall { id, target: head.target, args }))
    }

    /// Answers the call with a result. One that is larger than the caller accepts becomes a report of kind
    /// [`ReportKind::Protocol`]. A call that has its answer already gets no second one.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn reply(&mut self, id: u64, value: &[u8]) -> Result<(), LinkEnd> {
        self.reply_parts(id, [value])
    }

    /// The same with a result that is in several places.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn reply_parts<'a>(
        &mut self,
        id: u64,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), LinkEnd> {
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let max = self.peer.limits.max_message;
        if len > max as usize {
            let text = format!(
                "the result has {len} bytes, the caller accepts {max}: raise its limit `max_message` or return less"
            );
            return self.fail(id, &Report::new(ReportKind::Protocol, text));
        }
        if self.open.take_if(|open| *open == id).is_none() {
            return Ok(());
        }
        self.write(Header::new(Kind::Reply, id).to_caller(), &parts)
    }

    /// Answers the call with a failure.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn fail(&mut self, id: u64, report: &Report) -> Result<(), LinkEnd> {
        if self.open.take_if(|open| *open == id).is_none() {
            return Ok(());
        }
        let body = report.to_bytes(self.peer.limits.max_message);
        self.write(Header::new(Kind::Error, id).to_caller(), &[&body])
    }

    /// Writes a message: a frame, or as many as it takes.
    fn write(&mut self, mut header: Header, parts: &[&[u8]]) -> Result<(), LinkEnd> {
        let most = FRAME_MAX as usize;
        let mut left: usize = parts.iter().map(|part| part.len()).sum();
        if left <= most {
            let head = with_len(header, left).to_bytes();
            return self.write_all(std::iter::once(&head[..]).chain(parts.iter().copied()));
        }
        let mut piece = Header::new(Kind::Piece, header.id);
        piece.flags = header.flags & flag::TO_CALLER;
        header.flags |= flag::PIECES;
        let total = u32::try_from(left).expect("checked against max_message before");
        let mut head = [&with_len(header, most).to_bytes()[..], &total_head(total)].concat();
        let mut room = most - TOTAL_LEN;
        let mut rest = Parts { parts, at: 0 };
        // A few frames at a time, in as few writes.
        while left > 0 {
            let mut heads = Vec::with_capacity(FRAMES);
            let mut bodies = Vec::with_capacity(FRAMES);
            while left > 0 && heads.len() < FRAMES {
                let len = room.min(left);
                heads.push(head);
                bodies.push(rest.take(len));
                left -= len;
                room = most;
                head = with_len(piece, room.min(left)).to_bytes().to_vec();
            }
            let frames = heads.iter().zip(&bodies);
            self.write_all(
                frames.flat_map(|(head, body)| std::iter::once(&head[..]).chain(body.iter().copied())),
            )?;
        }
        Ok(())
    }

    /// The next header; `None` at the end of the stream.
    fn read_header(&mut self, take: &mut impl FnMut(Loan)) -> Result<Option<Header>, LinkEnd> {
        loop {
            if let Some(bytes) = self.buffer.bytes.first_chunk::<HEADER_LEN>() {
                let header = Header::parse(bytes).map_err(|error| protocol(error.into()))?;
                self.buffer.bytes.advance(HEADER_LEN);
                return Ok(Some(header));
            }
            self.flush()?;
            let filled = match self.recalled.is_empty() {
                true => self.buffer.fill_soon(&self.stream, self.spin),
                false => match self.buffer.fill_now(&self.stream) {
                    Err(error) if is_temporary(&error) => {
                        self.tell_recalled(take);
                        continue;
                    }
                    filled => filled,
                },
            };
            match filled {
                Ok(0) if self.buffer.bytes.is_empty() => return Ok(None),
                Ok(0) => return Err(truncated(HEADER_LEN - self.buffer.bytes.len())),
                Ok(_) => {}
                // It died with unread bytes of ours in its socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(link_end(error)),
            }
        }
    }

    fn read_body(&mut self, len: usize) -> Result<Bytes, LinkEnd> {
        while self.buffer.bytes.len() < len {
            self.flush()?;
            match self.buffer.fill(&self.stream) {
                Ok(0) => return Err(truncated(len - self.buffer.bytes.len())),
                Ok(_) => {}
                Err(error) => return Err(link_end(error)),
            }
        }
        Ok(self.buffer.bytes.split_to(len).freeze())
    }
}

/// How many loans may come before a call.
const LOANS_MAX: usize = 1024;

/// How many frames of a long message go into one write at most.
const FRAMES: usize = 32;

/// How much memory is kept for requests that come in pieces, in bytes.
const KEPT: usize = 16 * 1024 * 1024;

/// How much more is taken than is needed, in bytes: what goes before the arguments moves their beginning each time.
const SLACK: usize = 4 * 1024;

/// What is left of some slices.
struct Parts<'a> {
    parts: &'a [&'a [u8]],
    /// Where the first one goes on.
    at: usize,
}

impl<'a> Parts<'a> {
    /// The next so many bytes, which there are.
    fn take(&mut self, mut len: usize) -> Vec<&'a [u8]> {
        let mut taken = Vec::new();
        while len > 0 {
            let part = &self.parts[0][self.at..];
            let n = part.len().min(len);
            taken.push(&part[..n]);
            len -= n;
            self.at += n;
            if self.at == self.parts[0].len() {
                self.parts = &self.parts[1..];
                self.at = 0;
            }
        }
        taken
    }
}

fn take(pen: &Mutex<()>) -> MutexGuard<'_, ()> {
    pen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_len(mut header: Header, len: usize) -> Header {
    header.len = u32::try_from(len).expect("a frame is shorter than its limit");
    header
}

fn unexpected(kind: Kind, id: u64, reason: &'static str) -> LinkEnd {
    protocol(ProtocolError::Unexpected { kind, id, reason })
}

fn malformed(kind: Kind, reason: &dyn std::fmt::Display) -> LinkEnd {
    protocol(ProtocolError::Body { kind, reason: reason.to_string() })
}

fn protocol(error: ProtocolError) -> LinkEnd {
    LinkEnd::Protocol(Arc::new(error))
}

fn truncated(missing: usize) -> LinkEnd {
    protocol(FrameError::truncated(missing).into())
}

fn link_end(error: io::Error) -> LinkEnd {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LinkEnd::Eof,
        _ => LinkEnd::Io(Arc::new(error)),
    }
}
