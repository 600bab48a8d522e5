//! Public signatures; the bodies follow.
#![allow(unused, missing_docs, clippy::all, clippy::unimplemented, clippy::missing_errors_doc, reason = "bodies follow")]
use std::{future::Future, pin::Pin, task::{Context, Poll}, os::unix::net::UnixStream};
use bytes::Bytes;
use triune_wire::{CancelMessage, Hello, Report};
use crate::{CallEnd, Config, ConnectError, LinkEnd, SendError};

/// Both sides send HELLO, then check.
pub async fn connect(stream: UnixStream, config: Config) -> Result<(Link, Driver, Incoming), ConnectError> { unimplemented!() }

#[derive(Debug, Clone)] pub struct Link(());
impl Link {
    /// Sent at once (eager); waits for a permit inside the returned future. Drop sends CANCEL.
    pub fn call(&self, target: u32, args: Bytes) -> PendingCall { unimplemented!() }
    pub fn open(&self, target: u32, args: Bytes) -> (PendingDialog, DialogSender, DialogReceiver) { unimplemented!() }
    pub fn cancel_all(&self, message: CancelMessage) { unimplemented!() }
    pub fn close(&self, end: LinkEnd) { unimplemented!() }
    pub fn goodbye(&self) { unimplemented!() }
    /// What the other side said about itself.
    pub fn peer(&self) -> &Hello { unimplemented!() }
    /// Set once the link has ended.
    pub fn end(&self) -> Option<LinkEnd> { unimplemented!() }
    /// Waits until the link has ended.
    pub async fn ended(&self) -> LinkEnd { unimplemented!() }
}
#[derive(Debug)] pub struct Driver(());
impl Driver {
    /// Moves bytes until the link ends; then every wait is resolved with that end.
    pub async fn run(self) -> LinkEnd { unimplemented!() }
    /// As run, but leaves the waits pending, so that the owner can find out more (exit status) and then
    /// `link.close(LinkEnd::Died(..))`. Dropping the driver resolves what is left.
    pub async fn drive(&mut self) -> LinkEnd { unimplemented!() }
}
#[must_use] #[derive(Debug)] pub struct PendingCall(());
impl PendingCall {
    /// Sends CANCEL once; keep polling for the terminal frame.
    pub fn cancel(&self, message: CancelMessage) { unimplemented!() }
}
impl Future for PendingCall { type Output = Result<Bytes, CallEnd>; fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> { unimplemented!() } }

/// Owner of a dialog on the calling side; drop before the terminal frame sends CANCEL.
#[must_use] #[derive(Debug)] pub struct PendingDialog(());
impl PendingDialog {
    /// The first value. Err(end) if the dialog ended without it (a reply without started is a protocol-kind Failed).
    pub async fn started(&mut self) -> Result<Bytes, CallEnd> { unimplemented!() }
    /// The terminal frame: the endpoint's result.
    pub async fn ended(&mut self) -> Result<Bytes, CallEnd> { unimplemented!() }
    pub fn cancel(&self, message: CancelMessage) { unimplemented!() }
}
/// One direction of a dialog. Drop sends END.
#[derive(Debug)] pub struct DialogSender(());
impl DialogSender {
    pub async fn send(&mut self, item: Bytes) -> Result<(), SendError> { unimplemented!() }
    pub fn try_send(&mut self, item: Bytes) -> Result<(), SendError> { unimplemented!() }
    /// Half close (END).
    pub fn end(&mut self) { unimplemented!() }
}
#[derive(Debug)] pub struct DialogReceiver(());
impl DialogReceiver {
    /// Ok(None) after END or a successful terminal frame; buffered items come first. Caller: Err(Failed) after ERROR.
    /// Handler: Err(Cancelled) when the caller cancelled. Both: Err(Lost).
    pub async fn recv(&mut self) -> Result<Option<Bytes>, CallEnd> { unimplemented!() }
}
#[derive(Debug)] pub struct Incoming(());
impl Incoming {
    /// None: the link ended. Dropping Incoming refuses all further requests.
    pub async fn recv(&mut self) -> Option<Request> { unimplemented!() }
}
#[derive(Debug)] #[non_exhaustive] pub enum Request { Call(IncomingCall), Open(IncomingDialog), /** the whole peer */ Cancel(CancelMessage) }
#[derive(Debug)] #[non_exhaustive] pub struct IncomingCall { pub target: u32, pub args: Bytes, pub responder: Responder }
#[derive(Debug)] #[non_exhaustive] pub struct IncomingDialog { pub target: u32, pub args: Bytes, pub responder: Responder, pub sender: DialogSender, pub receiver: DialogReceiver }
/// The duty to send exactly one terminal frame; drop sends ERROR(Dropped).
#[derive(Debug)] pub struct Responder(());
impl Responder {
    /// Only dialogs, once, before the first item.
    pub fn started(&mut self, value: Bytes) -> Result<(), CallEnd> { unimplemented!() }
    /// A reply that is too large for the peer becomes ERROR(Protocol).
    pub fn reply(self, value: Bytes) { unimplemented!() }
    pub fn fail(self, report: Report) { unimplemented!() }
    /// Resolves when the caller cancels, or when the link ends (cause Peer).
    pub fn cancelled(&self) -> Cancelled<'_> { unimplemented!() }
}
#[derive(Debug)] pub struct Cancelled<'a>(&'a ());
impl Future for Cancelled<'_> { type Output = CancelMessage; fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CancelMessage> { unimplemented!() } }
