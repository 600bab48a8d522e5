//! What the codec said, here or in the worker.

use std::error::Error;
use std::fmt;

use triune_wire::{DecodeError, EncodeError};

use super::Failure;

/// What the codec said, here or in the worker: see [`Part`](super::Part) for an example.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// Encoding failed in this process.
    Encode(EncodeError),
    /// Decoding failed in this process.
    Decode(DecodeError),
    /// It failed in the worker.
    Remote(Failure),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::Remote(failure) => failure.fmt(f),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode(error) => error.source(),
            Self::Decode(error) => error.source(),
            Self::Remote(failure) => failure.source(),
        }
    }
}
