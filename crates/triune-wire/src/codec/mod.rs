//! Codecs: how a value of a user becomes bytes, and comes back.
//!
//! Owns the trait [`Codec`], its two implementations, and how byte strings pass through serde without a
//! copy. Does not frame anything and does not bound the size of a message: the link does, when it knows what
//! the peer accepts.
//!
//! Invariants:
//! 1. What one codec has encoded, the same codec decodes to an equal value, or encoding it was an error (but see 4).
//! 2. A decoder allocates in proportion to the bytes that it was given, whatever they claim.
//! 3. Bytes that are left over are an error, so that a longer message is never taken for a shorter one.
//! 4. A value that is nested deeper than 128 levels is refused by its decoder, so that no message exhausts the stack.

mod depth;
mod error;
mod message;
mod msgpack;
mod payload;
mod postcard;

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

pub use self::error::{DecodeError, EncodeError};
pub use self::message::{Message, Output};
pub use self::msgpack::MsgPack;
pub use self::payload::{Payload, bytes_field};
pub use self::postcard::Postcard;

use self::payload::Lend;

/// A way to turn serde types into bytes. Chosen statically, one for an interface; part of its
/// [fingerprint](crate::Interface::fingerprint).
///
/// ```
/// use triune_wire::{Codec, MsgPack, Postcard};
///
/// fn there_and_back<C: Codec>() -> Result<(u32, String), Box<dyn std::error::Error>> {
///     let bytes = C::to_bytes(&(7_u32, "seven"))?;
///     Ok(C::decode(&bytes)?)
/// }
/// assert_eq!(there_and_back::<Postcard>()?, (7, "seven".to_owned()));
/// assert_eq!(there_and_back::<MsgPack>()?, (7, "seven".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Codec: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// The name of the codec in an interface.
    const NAME: &'static str;

    /// Whether the bytes tell what they are: fields by name, types by tag. Two builds may then differ in
    /// fields that have defaults.
    const SELF_DESCRIBING: bool;

    /// Appends the encoded value to a buffer, such as a `Vec<u8>` or a `BytesMut`.
    ///
    /// # Errors
    /// The type refuses to be serialized, or is one that the codec cannot carry. The buffer may then end
    /// with a part of the value.
    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut impl Output) -> Result<(), EncodeError>;

    /// Decodes a value that fills the whole of `bytes`.
    ///
    /// # Errors
    /// The bytes are not a value of this type, or go on after it, or the value is nested deeper than 128 levels
    /// ([`DecodeError::is_too_deep`]).
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError>;

    /// Encodes a value into a buffer of its own.
    ///
    /// # Errors
    /// As [`encode`](Codec::encode).
    fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
        let mut out = BytesMut::with_capacity(128);
        Self::encode(value, &mut out)?;
        Ok(out.freeze())
    }

    /// Encodes a value; each large [`Payload`] in it becomes a part of the message as it is, without a copy.
    ///
    /// # Errors
    /// As [`encode`](Codec::encode).
    fn to_message<T: Serialize + ?Sized>(value: &T) -> Result<Message, EncodeError> {
        let mut open = Vec::with_capacity(128);
        let message = Self::to_short_message(value, &mut open, 0)?;
        Ok(if open.is_empty() { message } else { open.into() })
    }

    /// The same for many values in turn: one of at most `most` bytes is left in `short`, the message is empty
    /// then, and no memory is taken. What was in `short` before is forgotten.
    ///
    /// # Errors
    /// As [`encode`](Codec::encode).
    ///
    /// ```
    /// use triune_wire::{Codec, Postcard};
    ///
    /// let mut short = Vec::new();
    /// for word in ["one", "two", "three"] {
    ///     let message = Postcard::to_short_message(word, &mut short, 100)?;
    ///     assert!(message.is_empty() && short.len() == word.len() + 1);
    /// }
    /// let message = Postcard::to_short_message(&"x".repeat(100), &mut short, 100)?;
    /// assert!(short.is_empty() && message.len() == 101);
    /// # Ok::<(), triune_wire::EncodeError>(())
    /// ```
    fn to_short_message<T: Serialize + ?Sized>(
        value: &T,
        short: &mut Vec<u8>,
        most: usize,
    ) -> Result<Message, EncodeError> {
        short.clear();
        let lend = Lend::parts();
        let mut rope = message::Rope::new(&lend, short);
        Self::encode(value, &mut rope)?;
        Ok(rope.into_message(most))
    }

    /// Decodes a value that fills the whole of `bytes`; each [`Payload`] in it is a view of `bytes`, without
    /// a copy, and keeps them alive.
    ///
    /// # Errors
    /// As [`decode`](Codec::decode).
    ///
    /// ```
    /// use triune_wire::{Codec, Payload, Postcard};
    ///
    /// let bytes = Postcard::to_bytes(&Payload::from(vec![7; 10_000]))?;
    /// let payload: Payload = Postcard::decode_shared(&bytes)?;
    /// assert!(bytes.as_ptr_range().contains(&payload.as_ptr()), "it is a view of the message");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn decode_shared<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, DecodeError> {
        let _lent = Lend::source(bytes);
        Self::decode(bytes)
    }
}

/// [`Postcard::encode`](Codec::encode).
///
/// # Errors
/// As there.
///
/// ```
/// use triune_wire::{decode, encode, to_bytes};
///
/// let mut out = b"head".to_vec();
/// encode(&(7_u8, "seven"), &mut out)?;
/// assert_eq!(out[4..], to_bytes(&(7_u8, "seven"))?);
/// assert_eq!(decode::<(u8, String)>(&out[4..])?, (7, "seven".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut impl Output) -> Result<(), EncodeError> {
    Postcard::encode(value, out)
}

/// [`Postcard::to_bytes`](Codec::to_bytes).
///
/// # Errors
/// As there.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    Postcard::to_bytes(value)
}

/// [`Postcard::decode`](Codec::decode).
///
/// # Errors
/// As there.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    Postcard::decode(bytes)
}

/// Encodes a message of the protocol itself: MessagePack with field names, which any language can read and
/// to which a later version can add fields.
pub(crate) fn known_bytes<T: Serialize>(message: &T) -> Bytes {
    MsgPack::to_bytes(message).expect("texts, bytes and numbers can always be encoded")
}

/// Decodes a message of the protocol itself.
pub(crate) fn known<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    MsgPack::decode(bytes)
}
