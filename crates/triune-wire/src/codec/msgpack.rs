//! The codec for other languages and other builds: MessagePack with field names.

use std::cell::Cell;
use std::{fmt, io};

use rmp_serde::decode::Error;
use rmp_serde::{Deserializer, Serializer};
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};

use super::depth::Limited;
use super::{Codec, DecodeError, EncodeError, Output};

/// [MessagePack](https://msgpack.org), structs as maps with field names: readable from any language. Fields
/// that one side does not know are ignored, those with `#[serde(default)]` may be missing.
///
/// Two things to know: `Some(())` comes back as `None`, and a `Vec<u8>` is a list of numbers; use `Bytes` or
/// [`Payload`](super::Payload) for binary data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MsgPack;

impl Codec for MsgPack {
    const NAME: &'static str = "msgpack";
    const SELF_DESCRIBING: bool = true;

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut impl Output) -> Result<(), EncodeError> {
        let mut serializer = Serializer::new(Append(out)).with_struct_map();
        value.serialize(&mut serializer).map_err(|reason| EncodeError::of::<T>(&reason))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
        let mut deserializer = Deserializer::from_read_ref(&bytes);
        let too_deep = Cell::new(false);
        let fail = |reason: &dyn fmt::Display| match too_deep.get() {
            true => DecodeError::too_deep::<T>(bytes.len()),
            false => DecodeError::of::<T>(bytes.len(), &reason),
        };
        let value =
            T::deserialize(Limited::new(&mut deserializer, &too_deep)).map_err(|reason| fail(&reason))?;
        // The deserializer does not tell where it stands, but whether there is one more byte.
        match <()>::deserialize(&mut deserializer) {
            Err(Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(fail(&"bytes are left over")),
        }
    }
}

/// Appends to any output.
struct Append<'a, O>(&'a mut O);

impl<O: Output> io::Write for Append<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.put(bytes) { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
