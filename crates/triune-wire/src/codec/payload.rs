//! Byte strings that pass through serde without a copy.
//!
//! serde hands byte strings on as slices, which cannot be kept. So the value that is encoded lends its buffer
//! to the thread, and the output that is given the same slice takes the buffer instead; and the decoder lends
//! the message, and a byte string that is a slice of it becomes a view of it.
//!
//! Invariants:
//! 1. What is lent is taken back when the encoder or decoder returns or panics; a nested one lends its own.
//! 2. A slice is only ever exchanged for a buffer that holds exactly that slice: it is the same memory.
//! 3. Outside of [`Codec::to_message`](super::Codec::to_message) and
//!    [`Codec::decode_shared`](super::Codec::decode_shared), a payload is copied, and equal.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// Byte strings shorter than this, in bytes, are copied: a part of its own costs more.
const LEAST: usize = 4 * 1024;

thread_local! {
    static LENT: RefCell<Lent> = const { RefCell::new(Lent::Nothing) };
}

enum Lent {
    Nothing,
    /// What was lent to the output last.
    Part(Option<Bytes>),
    /// The message that is decoded.
    Source(Bytes),
}

/// Takes back what was lent.
pub(super) struct Lend {
    before: Lent,
}

impl Lend {
    fn new(lent: Lent) -> Lend {
        Lend { before: LENT.replace(lent) }
    }

    /// Values may lend their buffers to the output.
    pub(super) fn parts() -> Lend {
        Lend::new(Lent::Part(None))
    }

    /// The message lends itself to the values.
    pub(super) fn source(bytes: &Bytes) -> Lend {
        Lend::new(Lent::Source(bytes.clone()))
    }

    /// The buffer that was lent with these bytes, if it was the last one.
    #[expect(clippy::unused_self, reason = "it is there only while something may be lent")]
    pub(super) fn take_lent(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes.len() < LEAST {
            return None;
        }
        LENT.with_borrow_mut(|lent| match lent {
            Lent::Part(part) => part.take_if(|part| std::ptr::eq(&part[..], bytes)),
            _ => None,
        })
    }
}

impl Drop for Lend {
    fn drop(&mut self) {
        LENT.set(std::mem::replace(&mut self.before, Lent::Nothing));
    }
}

/// Bytes that are not copied on their way through a codec: the sender writes them from where they are, the
/// receiver gets a view of what was read.
///
/// A field of the type `Bytes` does the same with `#[serde(with = "triune::wire::bytes_field")]`; without
/// that, it is copied once on each side.
///
/// ```
/// use bytes::Bytes;
/// use triune_wire::{Codec, Payload, Postcard};
///
/// let image = Bytes::from(vec![7; 100_000]);
/// let message = Postcard::to_message(&("image.png", Payload::from(image.clone())))?;
/// // The second part *is* the image.
/// assert!(message.parts().any(|part| std::ptr::eq(&part[..], &image[..])));
/// # Ok::<(), triune_wire::EncodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Payload(Bytes);

impl Payload {
    /// The bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Payload(bytes.into())
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Bytes {
        payload.0
    }
}

impl Deref for Payload {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bytes_field::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        bytes_field::deserialize(deserializer).map(Payload)
    }
}

pub mod bytes_field {
    //! For fields of the type `Bytes`: `#[serde(with = "triune::wire::bytes_field")]` keeps them from being
    //! copied, as a [`Payload`](super::Payload) is.

    use super::{Bytes, Deserializer, LEAST, LENT, Lent, Serializer, Shared};

    /// Writes the bytes, and lends them to the output.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        if bytes.len() >= LEAST {
            LENT.with_borrow_mut(|lent| {
                if let Lent::Part(part) = lent {
                    *part = Some(bytes.clone());
                }
            });
        }
        serializer.serialize_bytes(bytes)
    }

    /// Takes the bytes out of the message that they are in.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_byte_buf(Shared)
    }
}

fn is_within(source: &[u8], bytes: &[u8]) -> bool {
    let (outer, inner) = (source.as_ptr_range(), bytes.as_ptr_range());
    outer.start <= inner.start && inner.end <= outer.end
}

/// Makes `Bytes` of what a deserializer finds.
struct Shared;

impl<'de> Visitor<'de> for Shared {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        if bytes.len() < LEAST {
            return Ok(Bytes::copy_from_slice(bytes));
        }
        Ok(LENT.with_borrow(|lent| match lent {
            Lent::Source(source) if is_within(source, bytes) => source.slice_ref(bytes),
            _ => Bytes::copy_from_slice(bytes),
        }))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}
