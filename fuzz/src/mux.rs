//! The state machine of a link, step by step: frames of every kind in any order, between calls, dialogs and answers of
//! this side.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use tokio::time::timeout;
use triune_ipc::{
    DialogReceiver, DialogSender, Driver, Incoming, Link, LinkEnd, PendingCall, PendingDialog, Request,
    Responder, connect,
};
use triune_wire::{
    CancelCause, CancelMessage, Credit, FRAME_MAX, Header, Kind, Report, ReportKind, RequestHead, total_head,
};

use crate::link::{HANGS, block_on, config, hello_frame};

/// The most steps of one run.
const STEPS: usize = 64;

/// One step.
#[derive(Debug, Arbitrary)]
pub enum Step {
    /// The peer sends a frame.
    Frame {
        /// The kind, as on the wire; also such that do not exist.
        kind: u8,
        /// The flags, as on the wire.
        flags: u8,
        /// Which request: one of the first few of either side.
        id: u8,
        /// The body.
        body: Body,
    },
    /// The peer sends bytes that are no frame.
    Junk(Vec<u8>),
    /// The peer reads what it was sent.
    Read,
    /// This side calls.
    Call(u8),
    /// This side opens a dialog.
    Open,
    /// This side sends an item on one of its streams.
    Send(u8, u8),
    /// This side takes an item from one of its streams.
    Receive(u8),
    /// This side answers one of the requests.
    Answer(u8, u8),
    /// This side starts one of the dialogs of the peer.
    Start(u8),
    /// This side lets one of its handles go.
    Drop(u8, u8),
    /// This side asks the peer to end.
    CancelAll,
    /// This side says goodbye.
    Goodbye,
}

/// The body of a frame.
#[derive(Debug, Arbitrary)]
pub enum Body {
    /// Any bytes.
    Bytes(Vec<u8>),
    /// So many times 512 bytes.
    Long(u8),
    /// The head of a request, and arguments.
    Request(u8, u8),
    /// A credit.
    Credit(u32, u64),
    /// A reason to cancel.
    Cancel,
    /// A report.
    Report,
    /// The first piece of a message that is so many times 512 bytes longer than a frame.
    First(u8, u8),
}

impl Body {
    fn bytes(&self) -> Vec<u8> {
        let fill = |count: u8| vec![count; usize::from(count) * 512];
        match self {
            Self::Bytes(bytes) => bytes.iter().copied().take(1024).collect(),
            Self::Long(count) => fill(*count).into_iter().take(FRAME_MAX as usize).collect(),
            Self::Request(target, count) => {
                let (head, len) = RequestHead::new(u32::from(*target)).to_bytes();
                [&head[..len], &fill(*count % 64)].concat()
            }
            Self::Credit(items, bytes) => Credit { items: *items, bytes: *bytes }.to_bytes().to_vec(),
            Self::Cancel => CancelMessage::new(CancelCause::Explicit, "enough").to_bytes().to_vec(),
            Self::Report => Report::new(ReportKind::Error, "no").to_bytes(FRAME_MAX).to_vec(),
            Self::First(more, count) => {
                [&total_head(FRAME_MAX + u32::from(*more) * 512)[..], &fill(*count % 64)].concat()
            }
        }
    }
}

/// What this side holds.
#[derive(Default)]
struct Held {
    calls: Vec<PendingCall>,
    dialogs: Vec<PendingDialog>,
    responders: Vec<Responder>,
    senders: Vec<DialogSender>,
    receivers: Vec<DialogReceiver>,
}

/// Plays the steps, then closes the peer's end: the link must end, and every wait with it.
pub fn play(steps: &[Step]) {
    block_on(async {
        let (mut peer, stream) = UnixStream::pair().expect("the system gives sockets");
        peer.write_all(&hello_frame()).expect("it fits into the socket");
        let (link, mut driver, mut incoming) =
            connect(stream, config("this")).await.expect("the HELLO is good");
        peer.set_nonblocking(true).expect("a socket takes the flag");
        let mut held = Held::default();
        for step in steps.iter().take(STEPS) {
            take(step, &mut peer, &link, &mut held);
            if turn(&mut driver, &mut incoming, &mut held).await.is_some() {
                break;
            }
        }
        drop(peer);
        let ended = timeout(HANGS, async {
            driver.run().await;
            let Held { calls, dialogs, responders, senders, receivers } = held;
            for call in calls {
                let _ended = call.await;
            }
            for mut dialog in dialogs {
                let _ended = (dialog.started().await, dialog.ended().await);
            }
            for mut sender in senders {
                sender.send(Bytes::new()).await.expect_err("the link has ended");
            }
            for mut receiver in receivers {
                while let Ok(Some(_)) = receiver.recv().await {}
            }
            drop(responders);
            while incoming.recv().await.is_some() {}
        });
        assert!(ended.await.is_ok(), "the link or a wait on it hangs");
    });
}

/// Lets the driver read and write, and fetches what has come in.
async fn turn(driver: &mut Driver, incoming: &mut Incoming, held: &mut Held) -> Option<LinkEnd> {
    for _ in 0..2 {
        let mut drive = pin!(driver.drive());
        let end = poll_fn(|cx| Poll::Ready(drive.as_mut().poll(cx))).await;
        if let Poll::Ready(end) = end {
            return Some(end);
        }
        // Lets the runtime look at the socket.
        tokio::task::yield_now().await;
    }
    loop {
        let mut next = pin!(incoming.recv());
        match poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
            Poll::Ready(Some(Request::Call(call))) => held.responders.push(call.responder),
            Poll::Ready(Some(Request::Open(dialog))) => {
                held.responders.push(dialog.responder);
                held.senders.push(dialog.sender);
                held.receivers.push(dialog.receiver);
            }
            Poll::Ready(Some(_)) => {}
            Poll::Ready(None) | Poll::Pending => return None,
        }
    }
}

fn at<T>(list: &mut [T], index: u8) -> Option<&mut T> {
    let len = list.len();
    (len > 0).then(|| &mut list[usize::from(index) % len])
}

fn remove<T>(list: &mut Vec<T>, index: u8) -> Option<T> {
    (!list.is_empty()).then(|| list.swap_remove(usize::from(index) % list.len()))
}

/// Does one step.
fn take(step: &Step, peer: &mut UnixStream, link: &Link, held: &mut Held) {
    // A peer whose socket is full or closed says nothing.
    let mut say = |bytes: &[u8]| drop(peer.write(bytes));
    match step {
        Step::Frame { kind, flags, id, body } => {
            let body = body.bytes();
            let id = u64::from(*id);
            // The ids of this side's requests have their number above the index of the flight.
            let id = if flags & 1 == 1 { (id / 4 + 1) << 16 | id % 4 } else { id };
            let mut frame = Header::new(Kind::Ping, id).to_bytes();
            frame[..4].copy_from_slice(&u32::try_from(body.len()).expect("it is short").to_le_bytes());
            (frame[4], frame[5]) = (kind % 20, *flags);
            say(&[&frame[..], &body].concat());
        }
        Step::Junk(bytes) => say(&bytes[..bytes.len().min(1024)]),
        Step::Read => {
            let mut buffer = [0; 16 * 1024];
            while peer.read(&mut buffer).is_ok_and(|read| read > 0) {}
        }
        Step::Call(len) => held.calls.push(link.call(0, Bytes::from(vec![7; usize::from(*len) * 512]))),
        Step::Open => {
            let (dialog, sender, receiver) = link.open(0, Bytes::new());
            held.dialogs.push(dialog);
            held.senders.push(sender);
            held.receivers.push(receiver);
        }
        Step::Send(index, len) => {
            if let Some(sender) = at(&mut held.senders, *index) {
                drop(sender.try_send(Bytes::from(vec![7; usize::from(*len) * 512])));
            }
        }
        Step::Receive(index) => {
            if let Some(receiver) = at(&mut held.receivers, *index) {
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                let _item = pin!(receiver.recv()).poll(&mut context);
            }
        }
        Step::Answer(index, len) => {
            if let Some(responder) = remove(&mut held.responders, *index) {
                match len {
                    0 => drop(responder),
                    1 => responder.fail(Report::new(ReportKind::Error, "no")),
                    len => responder.reply(Bytes::from(vec![7; usize::from(*len) * 512])),
                }
            }
        }
        Step::Start(index) => {
            if let Some(responder) = at(&mut held.responders, *index) {
                let _started = responder.started(Bytes::from_static(b"first"));
            }
        }
        Step::Drop(what, index) => match what % 4 {
            0 => drop(remove(&mut held.calls, *index)),
            1 => drop(remove(&mut held.dialogs, *index)),
            2 => drop(remove(&mut held.senders, *index)),
            _ => drop(remove(&mut held.receivers, *index)),
        },
        Step::CancelAll => link.cancel_all(&CancelMessage::new(CancelCause::Explicit, "all")),
        Step::Goodbye => link.goodbye(),
    }
}
