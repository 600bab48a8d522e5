//! How arguments and results are encoded: as the pool's kind of worker can read it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_wire::{Codec, DecodeError, EncodeError, Interface, Message, MsgPack, Output, Postcard};

/// The codec of a pool. Both sides know it before they say anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Between processes of the same program: compact, and exactly the same types on both sides.
    #[default]
    Postcard,
    /// With another program: maps with the names of fields, which other builds and other languages can read.
    MsgPack,
}

impl Format {
    pub(crate) fn encode<T: Serialize>(self, value: &T, out: &mut impl Output) -> Result<(), EncodeError> {
        match self {
            Self::Postcard => Postcard::encode(value, out),
            Self::MsgPack => MsgPack::encode(value, out),
        }
    }

    pub(crate) fn to_message<T: Serialize>(self, value: &T) -> Result<Message, EncodeError> {
        match self {
            Self::Postcard => Postcard::to_message(value),
            Self::MsgPack => MsgPack::to_message(value),
        }
    }

    pub(crate) fn to_short_message<T: Serialize>(
        self,
        value: &T,
        short: &mut Vec<u8>,
        most: usize,
    ) -> Result<Message, EncodeError> {
        match self {
            Self::Postcard => Postcard::to_short_message(value, short, most),
            Self::MsgPack => MsgPack::to_short_message(value, short, most),
        }
    }

    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &bytes::Bytes) -> Result<T, DecodeError> {
        match self {
            Self::Postcard => Postcard::decode_shared(bytes),
            Self::MsgPack => MsgPack::decode_shared(bytes),
        }
    }
}

/// The name of the interface of jobs that are called by name.
const JOBS: &str = "jobs";

/// An interface of jobs by name, without any.
pub(crate) fn interface() -> Interface {
    Interface::new::<MsgPack>(JOBS)
}

/// That of a peer.
pub(crate) fn interface_of(peer: &triune_wire::Hello) -> Option<&Interface> {
    peer.interfaces.iter().find(|interface| interface.name == JOBS)
}
