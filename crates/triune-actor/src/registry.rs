//! The endpoints of this executable, collected by the linker.
//!
//! Owns the slice and the numbering. The number of an endpoint is its place in the slice: parent and child are the same image (the
//! handshake checks it), so both count alike, and looking one up is an index. Names are for people.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use linkme::distributed_slice;
use triune_wire::Message;

use crate::dialog::EndpointDialog;
use crate::failure::Failure;

/// All endpoints that were linked into this executable.
#[distributed_slice]
pub static ENDPOINTS: [Entry];

/// The running body of an endpoint: its encoded value, or why there is none.
pub type Handled = Pin<Box<dyn Future<Output = Result<Message, Failure>> + Send>>;

/// How an endpoint is entered. Follows from its signature.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "only the expansion of `#[endpoint]` names the variants")]
pub enum Handler {
    /// One request, one answer.
    Call(fn(Bytes) -> Handled),
    /// A dialog: a started value, items both ways, one answer.
    Dialog(fn(Bytes, EndpointDialog) -> Handled),
}

/// One endpoint. Written by `#[triune::endpoint]`.
pub struct Entry {
    name: &'static str,
    module: &'static str,
    file: &'static str,
    line: u32,
    handler: Handler,
}

impl Entry {
    /// An entry for the registry.
    pub const fn new(
        name: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        handler: Handler,
    ) -> Self {
        Self { name, module, file, line, handler }
    }

    /// The function's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn handler(&self) -> Handler {
        self.handler
    }

    /// The endpoint's number on the wire.
    pub(crate) fn target(&'static self) -> u32 {
        // Counted by address, not by name: two endpoints may share one name in different modules.
        let offset = std::ptr::from_ref(self).addr() - ENDPOINTS.as_ptr().addr();
        let index = offset / size_of::<Self>();
        assert!(
            ENDPOINTS.get(index).is_some_and(|entry| std::ptr::eq(entry, self)),
            "every entry is an element of the registry: only `#[triune::endpoint]` makes them"
        );
        u32::try_from(index).expect("an executable holds fewer than 2^32 endpoints")
    }

    /// The endpoint with this number.
    pub(crate) fn find(target: u32) -> Option<&'static Self> {
        ENDPOINTS.get(usize::try_from(target).ok()?)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{} ({}:{})", self.module, self.name, self.file, self.line)
    }
}
