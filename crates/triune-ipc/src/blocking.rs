//! The serving side of a link without a runtime (skeleton).
#![allow(unused, missing_docs, clippy::all, clippy::unimplemented, clippy::missing_errors_doc, reason = "bodies follow")]
use std::os::unix::net::UnixStream;
use bytes::Bytes;
use triune_wire::{Hello, Report};
use crate::{Config, ConnectError, LinkEnd};
#[derive(Debug)] pub struct Server(());
#[derive(Debug)] #[non_exhaustive] pub struct BlockingCall { pub id: u64, pub target: u32, pub args: Bytes }
impl Server {
    pub fn accept(stream: UnixStream, config: Config) -> Result<Server, ConnectError> { unimplemented!() }
    pub fn peer(&self) -> &Hello { unimplemented!() }
    /// None: GOODBYE, EOF or cancel of the whole peer.
    pub fn next(&mut self) -> Result<Option<BlockingCall>, LinkEnd> { unimplemented!() }
    pub fn reply(&mut self, id: u64, value: &[u8]) -> Result<(), LinkEnd> { unimplemented!() }
    pub fn fail(&mut self, id: u64, report: &Report) -> Result<(), LinkEnd> { unimplemented!() }
}
