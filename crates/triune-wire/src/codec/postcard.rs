//! The codec between equal builds: postcard.

use std::cell::Cell;

use postcard::Deserializer;
use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

use super::depth::Limited;
use super::{Codec, DecodeError, EncodeError, Output};

/// [postcard](https://postcard.jamesmunns.com/wire-format): exact Rust types, small and quick, without field
/// names. Both sides must have the same types. Attributes of serde that need a self-describing format
/// (`flatten`, `untagged`) fail when the value is encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Postcard;

impl Codec for Postcard {
    const NAME: &'static str = "postcard";
    const SELF_DESCRIBING: bool = false;

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut impl Output) -> Result<(), EncodeError> {
        postcard::serialize_with_flavor::<T, _, ()>(value, Append(out))
            .map_err(|reason| EncodeError::of::<T>(&reason))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
        let mut deserializer = Deserializer::from_bytes(bytes);
        let too_deep = Cell::new(false);
        let decoded = T::deserialize(Limited::new(&mut deserializer, &too_deep));
        match decoded.and_then(|value| Ok((value, deserializer.finalize()?))) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(DecodeError::rest::<T>(bytes.len(), rest.len())),
            Err(_) if too_deep.get() => Err(DecodeError::too_deep::<T>(bytes.len())),
            Err(reason) => Err(DecodeError::of::<T>(bytes.len(), &reason)),
        }
    }
}

/// Appends to any output; postcard's own flavors push byte by byte into a `BytesMut`.
struct Append<'a, O>(&'a mut O);

impl<O: Output> Flavor for Append<'_, O> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.0.push(byte) { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.0.put(bytes) { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
