//! The arguments of a job, and when they are encoded.
//!
//! When the job is run: then it is known who reads them. Small ones are encoded on the caller's thread; large ones would hold up the
//! event loop there, and are encoded on a thread of their own. Which of the two is found by trying: encoding has no effects, so
//! what was written of a large value is thrown away.
//!
//! Invariants:
//! 1. They are encoded once for each format, whatever happens to the clones of a job; but those of a quick job of a map each time
//!    that they are sent, which costs less than to keep the bytes.
//! 2. A large value is dropped as soon as it is encoded, so that it is not in memory twice.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use triune_scope::blocking;
use triune_wire::{EncodeError, Message, Output};

use crate::call::Argument;
use crate::format::Format;
use crate::shared::{self, Kept};

/// What is encoded on the caller's thread, in bytes.
pub(crate) const INLINE: usize = 64 * 1024;

#[derive(Clone)]
pub(crate) struct Arguments(Arc<dyn Hold>);

/// Arguments of whatever type.
trait Hold: Send + Sync {
    /// Where those encoded in this format are kept.
    fn place(&self, format: Format) -> &OnceLock<Encoded>;

    /// Encodes them, unless they are large.
    fn encode_small(&self, format: Format) -> Option<Encoded>;

    /// Encodes them, however long it takes.
    fn encode(&self, format: Format) -> Encoded;
}

struct Held<A> {
    /// Taken when it is large and encoded.
    value: Mutex<Option<A>>,
    /// Known when somebody has tried to encode them.
    is_large: AtomicBool,
    postcard: OnceLock<Encoded>,
    msgpack: OnceLock<Encoded>,
}

/// The bytes of arguments, and what must live as long as somebody may decode them.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) bytes: Result<Message, EncodeError>,
    pub(crate) kept: Kept,
}

impl Encoded {
    fn by(encode: impl FnOnce() -> Result<Message, EncodeError>) -> Self {
        let (bytes, kept) = shared::keeping(encode);
        Self { bytes, kept }
    }
}

/// At most [`INLINE`] bytes.
#[derive(Default)]
struct Bounded(Vec<u8>);

thread_local! {
    /// Where small arguments are encoded, so that memory is taken once, for as many bytes as they have.
    static SCRATCH: Cell<Bounded> = const { Cell::new(Bounded(Vec::new())) };
}

impl Output for Bounded {
    fn put(&mut self, bytes: &[u8]) -> bool {
        let fits = INLINE - self.0.len() >= bytes.len();
        if fits {
            self.0.extend_from_slice(bytes);
        }
        fits
    }
}

impl Arguments {
    pub(crate) fn new<A: Argument>(arguments: A) -> Self {
        Self(Arc::new(Held {
            value: Mutex::new(Some(arguments)),
            is_large: AtomicBool::new(false),
            postcard: OnceLock::new(),
            msgpack: OnceLock::new(),
        }))
    }

    /// The encoded arguments, unless they are large and not encoded yet, or not encodable.
    fn small(&self, format: Format) -> Option<&Encoded> {
        let place = self.0.place(format);
        if place.get().is_none() {
            let encoded = self.0.encode_small(format)?;
            // A clone may have been faster.
            return Some(place.get_or_init(|| encoded));
        }
        place.get()
    }

    /// As [`small`](Self::small), for whoever will not ask again.
    pub(crate) fn small_once(&self, format: Format) -> Option<Encoded> {
        match self.0.place(format).get() {
            Some(encoded) => Some(encoded.clone()),
            None => self.0.encode_small(format),
        }
    }

    /// The encoded arguments; encodes on this thread if that is still to be done.
    pub(crate) fn encoded_now(&self, format: Format) -> Encoded {
        self.0.place(format).get_or_init(|| self.0.encode(format)).clone()
    }

    /// The encoded arguments; large ones are encoded on a thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a thread that has begun ends its work, for whoever asks again.
    ///
    /// # Errors
    ///
    /// A cancel before the thread has begun, or the end of the runtime.
    pub(crate) async fn encoded(&self, format: Format) -> triune_scope::Result<Encoded> {
        if let Some(encoded) = self.small(format) {
            return Ok(encoded.clone());
        }
        let arguments = self.clone();
        blocking::run(move |_| Ok(arguments.encoded_now(format))).await
    }
}

impl<A: Argument> Hold for Held<A> {
    fn place(&self, format: Format) -> &OnceLock<Encoded> {
        match format {
            Format::Postcard => &self.postcard,
            Format::MsgPack => &self.msgpack,
        }
    }

    fn encode_small(&self, format: Format) -> Option<Encoded> {
        // Not even the lock, which a thread that encodes them holds.
        if self.is_large.load(Ordering::Relaxed) {
            return None;
        }
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = Encoded::by(|| {
            // Not borrowed: what is encoded here may encode a job of its own.
            let mut bytes = SCRATCH.take();
            let arguments = value.as_ref().expect("it is taken only when it is large");
            let message =
                format.encode(arguments, &mut bytes).map(|()| Bytes::copy_from_slice(&bytes.0).into());
            bytes.0.clear();
            SCRATCH.set(bytes);
            message
        });
        if encoded.bytes.is_ok() {
            return Some(encoded);
        }
        // Too long, or not encodable at all: the second try tells, and nothing is sent before.
        self.is_large.store(true, Ordering::Relaxed);
        None
    }

    fn encode(&self, format: Format) -> Encoded {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(arguments) = &*value else {
            // It was run in a pool of another kind before.
            return self.translated(format);
        };
        let encoded = Encoded::by(|| format.to_message(arguments));
        if self.is_large.load(Ordering::Relaxed) && encoded.bytes.is_ok() {
            let encoded_value = value.take();
            drop(value);
            drop(encoded_value);
        }
        encoded
    }
}

impl<A: Argument> Held<A> {
    /// Large arguments that are left in one format only.
    fn translated(&self, format: Format) -> Encoded {
        let (other, from) = match format {
            Format::Postcard => (&self.msgpack, Format::MsgPack),
            Format::MsgPack => (&self.postcard, Format::Postcard),
        };
        // Whoever has taken the value may just be about to keep what it has encoded.
        let there = other.wait();
        Encoded::by(|| {
            let bytes = there.bytes.clone()?.into_bytes();
            let arguments: A = from.decode(&bytes).map_err(|error| EncodeError::of::<A>(&error))?;
            format.to_message(&arguments)
        })
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = [Format::Postcard, Format::MsgPack].map(|format| self.0.place(format).get());
        match places.into_iter().flatten().next() {
            Some(Encoded { bytes: Ok(bytes), .. }) => write!(f, "{} bytes", bytes.len()),
            Some(Encoded { bytes: Err(error), .. }) => write!(f, "{error}"),
            None => f.write_str("not encoded yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Counted {
        bytes: Vec<u8>,
        #[serde(skip)]
        _alive: Arc<()>,
    }

    /// Arguments of so many bytes, and what tells whether they are still in memory.
    fn counted(len: usize) -> (Arguments, Arc<()>) {
        let alive = Arc::new(());
        (Arguments::new(Counted { bytes: vec![1; len], _alive: Arc::clone(&alive) }), alive)
    }

    #[test]
    fn a_large_value_is_in_memory_once_and_still_there_for_the_other_format() {
        for (first, second) in [(Format::Postcard, Format::MsgPack), (Format::MsgPack, Format::Postcard)] {
            let (arguments, alive) = counted(2 * INLINE);
            assert!(arguments.small(first).is_none());
            assert_eq!(Arc::strong_count(&alive), 2, "it was only tried");
            assert!(arguments.encoded_now(first).bytes.is_ok());
            assert_eq!(Arc::strong_count(&alive), 1, "its bytes are there instead");
            let other =
                arguments.encoded_now(second).bytes.expect("it can be made of the first").into_bytes();
            assert_eq!(second.decode::<Counted>(&other).expect("it is whole").bytes.len(), 2 * INLINE);
        }
    }

    #[test]
    fn a_small_value_is_encoded_for_each_format_by_itself() {
        let (arguments, alive) = counted(10);
        for format in [Format::Postcard, Format::MsgPack, Format::Postcard] {
            let bytes = arguments.small(format).and_then(|encoded| encoded.bytes.clone().ok());
            let value: Counted =
                format.decode(&bytes.expect("it is small").into_bytes()).expect("it is whole");
            assert_eq!(value.bytes, [1; 10]);
        }
        assert_eq!(Arc::strong_count(&alive), 2);
    }
}
