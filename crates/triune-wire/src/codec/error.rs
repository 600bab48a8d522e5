//! Values that cannot be encoded, and bytes that cannot be decoded.
//!
//! Owns no codec: what the library of a codec says is kept as its text, so that the errors are the same for
//! all of them and can be compared and cloned.

use std::any::type_name;
use std::error::Error;
use std::fmt;

use super::depth::TooDeep;

/// A value that could not be encoded.
///
/// ```
/// use triune_wire::EncodeError;
///
/// let why = std::io::Error::other("a handle of this process means nothing elsewhere");
/// let error = EncodeError::of::<std::fs::File>(&why);
/// assert_eq!(error.type_name(), "std::fs::File");
/// assert_eq!(error.to_string(), "cannot encode a value of type std::fs::File");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    type_name: &'static str,
    reason: CodecText,
}

impl EncodeError {
    /// A value of this type that cannot be encoded for this reason.
    pub fn of<T: ?Sized>(reason: &impl fmt::Display) -> EncodeError {
        EncodeError { type_name: type_name::<T>(), reason: CodecText(reason.to_string()) }
    }

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

impl Error for EncodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.reason)
    }
}

/// Bytes that are not a value of the wanted type.
///
/// ```
/// use std::error::Error as _;
/// use triune_wire::{Codec, MsgPack, Postcard};
///
/// let error = Postcard::decode::<bool>(&[7]).unwrap_err();
/// assert_eq!(error.type_name(), "bool");
/// assert_eq!(error.to_string(), "cannot decode a value of type bool from 1 bytes");
/// assert!(error.source().is_some(), "what the codec says");
///
/// let error = Postcard::decode::<u8>(&[7, 8, 9]).unwrap_err();
/// assert_eq!(error.to_string(), "cannot decode a value of type u8 from 3 bytes: 2 bytes are left over");
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Nest(Vec<Nest>);
/// let deep = MsgPack::decode::<Nest>(&[0x91; 500]).unwrap_err();
/// assert!(deep.is_too_deep());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    type_name: &'static str,
    len: usize,
    reason: DecodeReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DecodeReason {
    Codec(CodecText),
    Rest(usize),
    TooDeep,
}

impl DecodeError {
    /// The codec gave up.
    pub(super) fn of<T>(len: usize, reason: &impl fmt::Display) -> DecodeError {
        let reason = DecodeReason::Codec(CodecText(reason.to_string()));
        DecodeError { type_name: type_name::<T>(), len, reason }
    }

    /// The value ended before the bytes did.
    pub(super) fn rest<T>(len: usize, rest: usize) -> DecodeError {
        DecodeError { type_name: type_name::<T>(), len, reason: DecodeReason::Rest(rest) }
    }

    /// The value is nested too deep.
    pub(super) fn too_deep<T>(len: usize) -> DecodeError {
        DecodeError { type_name: type_name::<T>(), len, reason: DecodeReason::TooDeep }
    }

    /// Whether the value is nested deeper than a decoder follows it: 128 levels of options, lists, structs and enums.
    /// Both sides refuse it alike; send it in a flatter form.
    pub const fn is_too_deep(&self) -> bool {
        matches!(self.reason, DecodeReason::TooDeep)
    }

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
            DecodeReason::TooDeep => write!(f, ": {TooDeep}"),
        }
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            DecodeReason::Codec(reason) => Some(reason),
            DecodeReason::Rest(_) | DecodeReason::TooDeep => None,
        }
    }
}

/// What the library of a codec says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CodecText(String);

impl fmt::Display for CodecText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CodecText {}
