//! What the codecs carry, what they share instead of copying, and how interfaces are compared.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use triune_wire::{
    BuildId, Codec, Hello, HelloError, Interface, Message, MsgPack, Payload, Postcard, bytes_field,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    deadline: Option<u64>,
    #[serde(with = "bytes_field")]
    image: Bytes,
    mask: Payload,
}

fn job(len: usize) -> Job {
    Job {
        name: "encode".into(),
        deadline: Some(7),
        image: vec![1; len].into(),
        mask: Payload::from(vec![2; len]),
    }
}

fn survives<C: Codec>() {
    for len in [0, 10, 4 * 1024, 1 << 20] {
        let sent = job(len);
        assert_eq!(C::decode::<Job>(&C::to_bytes(&sent).unwrap()).as_ref(), Ok(&sent));
        let message = C::to_message(&sent).unwrap();
        assert_eq!(message.len(), C::to_bytes(&sent).unwrap().len());
        let shared = C::decode_shared::<Job>(&message.into_bytes()).unwrap();
        assert_eq!(shared, sent);
    }
}

#[test]
fn values_survive_both_codecs_with_and_without_sharing() {
    survives::<Postcard>();
    survives::<MsgPack>();
}

fn shares<C: Codec>() {
    let sent = job(100_000);
    let message = C::to_message(&sent).unwrap();
    let is_part =
        |bytes: &Bytes, message: &Message| message.parts().any(|part| std::ptr::eq(&part[..], &bytes[..]));
    assert!(is_part(&sent.image, &message) && is_part(&sent.mask, &message));
    let whole = message.into_bytes();
    let got: Job = C::decode_shared(&whole).unwrap();
    let range = whole.as_ptr_range();
    assert!(range.contains(&got.image.as_ptr()) && range.contains(&got.mask.as_ptr()));
}

#[test]
fn large_byte_strings_are_neither_copied_in_nor_out() {
    shares::<Postcard>();
    shares::<MsgPack>();
}

#[test]
fn a_byte_string_that_is_lent_and_not_written_is_left_out() {
    // It lends a buffer, and writes another of the same length.
    struct Liar(Bytes, Bytes);
    impl Serialize for Liar {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let lent: Result<Bytes, _> = Postcard::to_bytes(&Payload::from(self.0.clone()));
            assert!(lent.is_ok(), "an encoder inside of an encoder");
            serializer.serialize_bytes(&self.1)
        }
    }
    let liar = Liar(vec![1; 10_000].into(), vec![2; 10_000].into());
    let message = Postcard::to_message(&liar).unwrap();
    assert!(message.into_bytes().ends_with(&[2; 10_000]));
}

#[test]
fn messagepack_has_names_and_ignores_what_it_does_not_know() {
    #[derive(Serialize)]
    struct Newer {
        id: u32,
        added: Vec<String>,
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Older {
        id: u32,
        #[serde(default)]
        missing: bool,
    }
    let bytes = MsgPack::to_bytes(&Newer { id: 7, added: vec!["x".into()] }).unwrap();
    assert!(bytes.windows(5).any(|window| window == b"added"));
    assert_eq!(MsgPack::decode(&bytes), Ok(Older { id: 7, missing: false }));
}

#[test]
fn bytes_that_are_left_over_are_an_error() {
    fn refuses<C: Codec>() {
        let mut bytes = C::to_bytes(&7_u8).unwrap().to_vec();
        assert_eq!(C::decode::<u8>(&bytes), Ok(7));
        bytes.push(0xc1);
        let error = C::decode::<u8>(&bytes).unwrap_err();
        let text = format!("{error}: {:?}", std::error::Error::source(&error));
        assert!(text.contains("left over"), "{text}");
    }
    refuses::<Postcard>();
    refuses::<MsgPack>();
}

fn hello(build: u8, interfaces: Vec<Interface>) -> Hello {
    let mut hello = Hello::new(BuildId::new([build; 16]), "actor", "encoder");
    hello.interfaces = interfaces;
    hello
}

fn judge(here: Vec<Interface>, there: Vec<Interface>) -> Result<(), HelloError> {
    let (one, other) = (hello(1, here), hello(2, there));
    let judged = one.accept(&other.to_bytes().unwrap()).map(drop);
    let judged_there = other.accept(&one.to_bytes().unwrap()).map(drop);
    assert_eq!(judged.is_ok(), judged_there.is_ok(), "both come to the same judgement");
    judged
}

#[test]
fn another_build_is_accepted_with_the_same_interface() {
    let jobs = || Interface::new::<Postcard>("jobs").with("add", "call add(u32) -> u32");
    let only_here = Interface::new::<Postcard>("metrics").with("get", "call get() -> u64");
    judge(vec![jobs(), only_here], vec![jobs()]).unwrap();
    assert!(matches!(judge(vec![jobs()], vec![]), Err(HelloError::Build { .. })));
}

#[test]
fn an_interface_that_differs_is_refused_with_the_first_difference() {
    let with = |deadline: &str| {
        Interface::new::<Postcard>("jobs")
            .with("ping", "call ping() -> ()")
            .with("submit", format_args!("call submit(name: String, deadline: {deadline}) -> u32"))
    };
    let error = judge(vec![with("Option<u64>")], vec![with("u64")]).unwrap_err();
    let text = error.to_string();
    let expected = "actor \"encoder\" speaks another interface than actor \"encoder\": jobs.submit differs: \
                    `Option<u64>) -> u32` here, `u64) -> u32` there (";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("build both from the same signatures"), "{text}");
}

#[test]
fn a_missing_method_is_a_difference_unless_the_codec_describes_itself() {
    fn pair<C: Codec>() -> [Vec<Interface>; 2] {
        let few = Interface::new::<C>("jobs").with("add", "call add(u32) -> u32");
        [vec![few.clone()], vec![few.with("sub", "call sub(u32) -> u32")]]
    }
    let [few, more] = pair::<Postcard>();
    let text = judge(few, more).unwrap_err().to_string();
    assert!(text.contains("jobs.sub differs: nothing here, `call sub(u32) -> u32` there"), "{text}");
    let [few, more] = pair::<MsgPack>();
    judge(few, more).unwrap();
}

#[test]
fn another_codec_is_a_difference() {
    let text = judge(vec![Interface::new::<MsgPack>("jobs")], vec![Interface::new::<Postcard>("jobs")])
        .unwrap_err()
        .to_string();
    assert!(text.contains("jobs differs in its codec: `msgpack` here, `postcard` there"), "{text}");
}

/// The fingerprint is stored and compared across builds: it must never change for the same text.
#[test]
fn a_fingerprint_is_the_same_for_ever() {
    let jobs = Interface::new::<Postcard>("jobs").with("add", "call add(u32) -> u32");
    assert_eq!(jobs.text(), "interface jobs codec postcard\nadd: call add(u32) -> u32\n");
    assert_eq!(jobs.fingerprint().to_string(), "9def2963cf31f5654bb9a3f4847cfc2a");
}

/// The shapes in which a type can contain itself.
#[derive(Debug, Serialize, Deserialize)]
enum Nested {
    Leaf,
    Newtype(Box<Nested>),
    Tuple(Box<Nested>, u8),
    Struct { inner: Box<Nested> },
    Option(Option<Box<Nested>>),
    List(Vec<Nested>),
    Map(std::collections::BTreeMap<u8, Nested>),
    Record(Record),
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    inner: Box<Nested>,
}

/// A hostile peer repeats one level as often as its message has room for it.
fn refuses_depth<C: Codec>(name: &str, level: impl Fn(Nested) -> Nested) {
    let leaf = C::to_bytes(&Nested::Leaf).unwrap();
    let one = C::to_bytes(&level(Nested::Leaf)).unwrap();
    // What a level adds before and behind the value in it.
    let at = one.windows(leaf.len()).rposition(|window| window == leaf).unwrap();
    let (before, behind) = (&one[..at], &one[at + leaf.len()..]);
    let nested = |levels: usize| [&before.repeat(levels)[..], &leaf, &behind.repeat(levels)].concat();
    // Each level opens at most three containers, so 40 levels are within the limit.
    assert!(C::decode::<Nested>(&nested(40)).is_ok(), "{name}");
    for levels in [129, 10_000, 1_000_000] {
        let error = C::decode::<Nested>(&nested(levels)).unwrap_err();
        assert!(error.is_too_deep(), "{name}: {error}");
        assert!(error.to_string().ends_with("of 128 levels: send a flatter value"), "{error}");
    }
}

fn refuses_every_depth<C: Codec>() {
    refuses_depth::<C>("newtype", |inner| Nested::Newtype(inner.into()));
    refuses_depth::<C>("tuple", |inner| Nested::Tuple(inner.into(), 7));
    refuses_depth::<C>("struct", |inner| Nested::Struct { inner: inner.into() });
    refuses_depth::<C>("option", |inner| Nested::Option(Some(inner.into())));
    refuses_depth::<C>("list", |inner| Nested::List(vec![inner]));
    refuses_depth::<C>("map", |inner| Nested::Map([(7, inner)].into()));
    refuses_depth::<C>("record", |inner| Nested::Record(Record { inner: inner.into() }));
}

#[test]
fn a_value_that_is_nested_too_deep_is_refused_and_does_not_exhaust_the_stack() {
    refuses_every_depth::<Postcard>();
    refuses_every_depth::<MsgPack>();
}

/// In MessagePack, an option of a value is the value: one byte is as many options as the type has.
#[test]
fn a_type_that_takes_no_bytes_for_a_level_is_refused_as_well() {
    #[derive(Debug, Deserialize)]
    struct Endless(#[expect(dead_code, reason = "it is only decoded")] Option<Box<Endless>>);
    assert!(MsgPack::decode::<Endless>(&[0x07]).unwrap_err().is_too_deep());
    assert!(Postcard::decode::<Endless>(&[1; 100_000]).unwrap_err().is_too_deep());
}

/// What a message has that the receiver does not know is skipped, and counts as well.
#[test]
fn an_unknown_field_that_is_nested_too_deep_is_refused() {
    #[derive(Debug, Deserialize)]
    struct Known {}
    let mut bytes = vec![0x81, 0xa1, b'x'];
    bytes.extend(std::iter::repeat_n(0x91, 1_000_000));
    bytes.push(0xc0);
    assert!(MsgPack::decode::<Known>(&bytes).unwrap_err().is_too_deep());
}
