//! The codecs that users' messages go through, with a message that has all kinds of fields.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use triune_wire::{Codec, MsgPack, Payload, Postcard};

/// All kinds of fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    number: i64,
    wide: u128,
    letter: char,
    text: String,
    bytes: Bytes,
    payload: Payload,
    list: Vec<Option<u32>>,
    map: BTreeMap<String, Choice>,
    // As bits, because NaN is not equal to itself.
    pair: (u8, bool),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    Tuple(u16, String),
    Struct { deep: Option<Box<Choice>> },
}

/// Decodes, in the codec that the first byte chooses; what can be decoded can be encoded and is the same again.
pub fn decode(data: &[u8]) {
    let Some((codec, data)) = data.split_first() else { return };
    match codec % 2 {
        0 => there_and_back::<Postcard>(data),
        _ => there_and_back::<MsgPack>(data),
    }
}

fn there_and_back<C: Codec>(data: &[u8]) {
    let shared = Bytes::copy_from_slice(data);
    let value = C::decode::<Everything>(data);
    assert_eq!(value.as_ref().ok(), C::decode_shared::<Everything>(&shared).as_ref().ok());
    let Ok(value) = value else { return };
    let again = C::to_bytes(&value).expect("what was decoded can be encoded");
    assert_eq!(C::decode::<Everything>(&again).expect("what was encoded can be decoded"), value);
    let message = C::to_message(&value).expect("what was decoded can be encoded");
    assert_eq!(message.into_bytes(), again);
}

/// A message in this codec.
pub(crate) fn seed(codec: u8) -> Vec<u8> {
    let deep = Some(Box::new(Choice::Tuple(3, "three".into())));
    let value = Everything {
        number: -7,
        wide: 1 << 100,
        letter: 'ß',
        text: "text".into(),
        bytes: Bytes::from_static(b"bytes"),
        payload: vec![7; 5000].into(),
        list: vec![Some(1), None],
        map: BTreeMap::from([("a".into(), Choice::Unit), ("b".into(), Choice::Struct { deep })]),
        pair: (1, true),
    };
    let bytes = if codec == 0 { Postcard::to_bytes(&value) } else { MsgPack::to_bytes(&value) };
    [&[codec], &bytes.expect("it can be encoded")[..]].concat()
}
