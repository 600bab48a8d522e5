//! The codec between equal builds: postcard, with errors that name the Rust type.
//!
//! Owns the choice of the codec. Does not frame anything and does not bound the size of a message: the
//! link does, when it knows what the peer accepts.

use std::any::type_name;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

/// Appends the encoded value to a buffer, such as a `Vec<u8>` or a `BytesMut`.
///
/// # Errors
/// The type refuses to be serialized, or is one that postcard cannot carry (a sequence of unknown length).
/// The buffer may then end with a part of the value.
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut impl BufMut) -> Result<(), EncodeError> {
    postcard::serialize_with_flavor::<T, _, ()>(value, Append(out))
        .map_err(|reason| EncodeError { type_name: type_name::<T>(), reason })
}

/// Encodes a value into a buffer of its own.
///
/// # Errors
/// As [`encode`].
///
/// ```
/// let bytes = triune_wire::to_bytes(&(7_u32, "seven"))?;
/// assert_eq!(triune_wire::decode::<(u32, String)>(&bytes)?, (7, "seven".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::with_capacity(128);
    encode(value, &mut out)?;
    Ok(out.freeze())
}

/// Decodes a value that fills the whole of `bytes`.
///
/// # Errors
/// The bytes are not a value of this type, or go on after it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let fail = |reason| DecodeError { type_name: type_name::<T>(), len: bytes.len(), reason };
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(fail(DecodeReason::Rest(rest.len()))),
        Err(reason) => Err(fail(DecodeReason::Codec(reason))),
    }
}

/// Encodes a message of the protocol itself.
pub(crate) fn known_bytes<T: Serialize>(message: &T) -> Bytes {
    to_bytes(message).expect("texts, bytes and numbers can always be encoded")
}

/// Appends to any buffer; postcard's own flavors push byte by byte into a `BytesMut`.
struct Append<'a, B>(&'a mut B);

impl<B: BufMut> Flavor for Append<'_, B> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // `put_slice` panics on a fixed buffer that is too short, such as `&mut [u8]`.
        if self.0.remaining_mut() < bytes.len() {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.put_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A value that could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    type_name: &'static str,
    reason: postcard::Error,
}

impl EncodeError {
    /// The Rust type of the value.
    pub const fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot encode a value of type {}", self.type_name)
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Bytes that are not a value of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    type_name: &'static str,
    len: usize,
    reason: DecodeReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DecodeReason {
    Codec(postcard::Error),
    Rest(usize),
}

impl DecodeError {
    /// The Rust type that was wanted.
    pub const fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot decode a value of type {} from {} bytes", self.type_name, self.len)?;
        match self.reason {
            DecodeReason::Codec(_) => Ok(()),
            DecodeReason::Rest(rest) => write!(f, ": {rest} bytes are left over"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            DecodeReason::Codec(reason) => Some(reason),
            DecodeReason::Rest(_) => None,
        }
    }
}
