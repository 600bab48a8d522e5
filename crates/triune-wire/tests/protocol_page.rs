//! What `docs/protocol.md` says in tables and numbers is what the code does: another language is written from that page.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use triune_wire::{
    BuildId, CancelCause, CancelMessage, Codec, Credit, FRAME_MAX, HEADER_LEN, Header, Hello, Interface,
    IntroduceMessage, Kind, Limits, MAGIC, MsgPack, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, Postcard,
    REQUEST_HEAD_MAX, Report, ReportKind, RequestHead, TOTAL_LEN, TraceContext, flag, target,
};

/// Any value of MessagePack that the page speaks of.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    Nothing(()),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    std::fs::read_to_string(path).unwrap()
}

/// The page with single spaces for line ends, to look for a sentence.
fn prose() -> String {
    page().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(sentence: &str) {
    assert!(prose().contains(sentence), "the page does not say: {sentence}");
}

/// What stands between these two texts.
fn between(begin: &str, end: &str) -> String {
    let prose = prose();
    let (_, rest) = prose.split_once(begin).unwrap_or_else(|| panic!("the page does not say: {begin}"));
    rest.split_once(end).unwrap_or_else(|| panic!("nothing ends with: {end}")).0.to_owned()
}

/// The rows of the table whose head is this line.
fn table(head: &str) -> Vec<Vec<String>> {
    let page = page();
    let mut lines = page.lines().skip_while(|line| *line != head);
    assert!(lines.next().is_some(), "the page has no table `{head}`");
    assert!(lines.next().unwrap().starts_with("|-"));
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// A number that may be grouped by spaces.
fn number(text: &str) -> u64 {
    text.replace(' ', "").parse().unwrap_or_else(|_| panic!("`{text}` is a number"))
}

/// What is in a list of words between backticks.
fn names(list: &str) -> Vec<&str> {
    list.split(", ").map(|name| name.trim_matches('`')).collect()
}

/// The names of the fields of a map, and how they are described.
fn fields(list: &str) -> BTreeMap<String, String> {
    // Of lists, the length is said in the same words.
    let list = list.replace("list of at most ", "list ");
    let described = |field: &str| match field.split_once(": ") {
        Some((name, how)) => (name.to_owned(), how.to_owned()),
        None => (field.to_owned(), String::new()),
    };
    list.trim_matches('`').split(", ").map(described).collect()
}

fn keys(bytes: &[u8]) -> Vec<String> {
    let Value::Map(map) = MsgPack::decode::<Value>(bytes).unwrap() else { panic!("it is a map") };
    map.into_keys().collect()
}

#[test]
fn the_header_of_a_frame_is_laid_out_as_the_page_says() {
    let header = Header { len: 0x1234, kind: Kind::Item, flags: flag::TO_CALLER, id: 0x0102_0304_0506_0708 };
    let bytes = header.to_bytes();
    let expected: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        ("`len`", header.len.to_le_bytes().to_vec()),
        ("`kind`", vec![Kind::Item as u8]),
        ("`flags`", vec![flag::TO_CALLER]),
        ("reserved", vec![0, 0]),
        ("`id`", header.id.to_le_bytes().to_vec()),
    ]);
    let rows = table("| offset | type | field | meaning |");
    assert_eq!(rows.len(), expected.len() + 1);
    for row in &rows {
        let at = usize::try_from(number(&row[0])).unwrap();
        if row[2] == "body" {
            assert_eq!(at, HEADER_LEN);
            assert!(row[3].contains("at most 66 560 (65 KiB)"), "{row:?}");
            continue;
        }
        let width = match row[1].as_str() {
            "`u8`" => 1,
            "`u16`" => 2,
            "`u32`" => 4,
            "`u64`" => 8,
            other => panic!("a type of integers: {other}"),
        };
        assert_eq!(bytes[at..at + width], expected[row[2].as_str()], "{row:?}");
    }
    assert_eq!(u64::from(FRAME_MAX), number("66 560"));
    let mut reserved = bytes;
    reserved[6] = 1;
    assert!(Header::parse(&reserved).is_err());
}

#[test]
fn every_kind_of_frame_is_in_the_table_with_its_flags() {
    let bits =
        BTreeMap::from([("TO_CALLER", flag::TO_CALLER), ("CLOSED", flag::CLOSED), ("PIECES", flag::PIECES)]);
    for (name, bit) in &bits {
        let text = format!("`{name}` is `{bit:#04x}`");
        assert!(prose().contains(&text), "{text}");
    }
    let rows = table("| kind | | from | id | flags | body |");
    let numbers: Vec<u8> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    let known: Vec<u8> = (0..=u8::MAX).filter(|number| Kind::from_wire(*number).is_some()).collect();
    assert_eq!(numbers, known);
    for (row, number) in rows.iter().zip(numbers) {
        let kind = Kind::from_wire(number).unwrap();
        assert_eq!(row[1], kind.to_string());
        // "`TO_CALLER`" alone is always there; from one of both sides it says which; the others may be there.
        let said = |name: &str| row[4].contains(&format!("`{name}`"));
        let permitted = bits.iter().filter(|(name, _)| said(name)).fold(0, |all, (_, bit)| all | bit);
        let from_both = row[4].contains("`TO_CALLER` from the callee");
        let required = if said("TO_CALLER") && !from_both { flag::TO_CALLER } else { 0 };
        for flags in 0..=u8::MAX {
            let bytes = Header { len: 0, kind, flags, id: 1 }.to_bytes();
            let expected = flags & !permitted == 0 && flags & required == required;
            assert_eq!(Header::parse(&bytes).is_ok(), expected, "{kind} with flags {flags:#04x}");
        }
    }
}

#[test]
fn bodies_of_a_fixed_layout_are_as_the_page_says() {
    says("`u32` items, `u64` bytes");
    let credit = Credit { items: 7, bytes: 9 };
    assert_eq!(credit.to_bytes().to_vec(), [&7_u32.to_le_bytes()[..], &9_u64.to_le_bytes()].concat());
    says("begins with the length of the whole message, `u32`");
    assert_eq!(TOTAL_LEN, 4);

    says("`u32` target, `u8` present");
    says("`0x01` the time that is left for the answer (`u64`, microseconds), `0x02` the place in a trace");
    says("(16 bytes trace id, 8 bytes span id, `u8` flags");
    let mut head = RequestHead::new(5);
    head.deadline = Some(std::time::Duration::from_micros(11));
    head.trace = Some(TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 3 });
    let (bytes, len) = head.to_bytes();
    let expected =
        [&5_u32.to_le_bytes()[..], &[0x03], &11_u64.to_le_bytes(), &[1; 16], &[2; 8], &[3]].concat();
    assert_eq!((&bytes[..len], len), (&expected[..], REQUEST_HEAD_MAX));
    let unknown = [&5_u32.to_le_bytes()[..], &[0x04]].concat();
    assert!(RequestHead::split(unknown.into()).is_none(), "other bits are a protocol error");
}

#[test]
fn a_hello_is_laid_out_as_the_page_says() {
    let mut hello = Hello::new(BuildId::new([9; 16]), "worker", "/a");
    hello.interfaces = vec![Interface::new::<Postcard>("i").with("m", "s")];
    let body = hello.to_bytes().unwrap();
    let rows = table("| offset | type | field |");
    let at = |row: &Vec<String>| usize::try_from(number(&row[0])).unwrap();
    let [magic, newest, oldest, build, tail] = &rows[..] else { panic!("five fields: {rows:?}") };
    assert!(magic[2].contains(std::str::from_utf8(&MAGIC).unwrap()), "{magic:?}");
    assert_eq!(body[at(magic)..at(newest)], MAGIC);
    for (row, version) in [(newest, PROTOCOL_VERSION), (oldest, OLDEST_PROTOCOL_VERSION)] {
        assert_eq!(body[at(row)..at(row) + 2], version.to_le_bytes());
        assert!(row[2].ends_with(&format!("speaks, {version}")), "{row:?}");
    }
    says(&format!("This is version {PROTOCOL_VERSION}."));
    assert_eq!(body[at(build)..at(tail)], [9; 16]);
    let mut named = Vec::new();
    for part in tail[2].split('`').skip(1).step_by(2) {
        named.extend(fields(part).into_keys());
    }
    named.sort_unstable();
    assert_eq!(keys(&body[at(tail)..]), named);
}

#[test]
fn the_limits_have_the_defaults_and_least_values_of_the_table() {
    let limits = |values: &BTreeMap<String, u64>| {
        let mut bytes = bytes::BytesMut::new();
        MsgPack::encode(values, &mut bytes).unwrap();
        MsgPack::decode::<Limits>(&bytes).unwrap()
    };
    let rows = table("| key | default | least | |");
    let mut defaults = BTreeMap::new();
    for row in &rows {
        defaults.insert(row[0].trim_matches('`').to_owned(), number(&row[1]));
    }
    let mut bytes = bytes::BytesMut::new();
    MsgPack::encode(&Limits::default(), &mut bytes).unwrap();
    assert_eq!(MsgPack::decode::<BTreeMap<String, u64>>(&bytes).unwrap(), defaults);
    for row in &rows {
        let (key, least) = (row[0].trim_matches('`').to_owned(), number(&row[2]));
        assert!(limits(&BTreeMap::from([(key.clone(), least)])).validate().is_ok(), "{key}");
        assert!(limits(&BTreeMap::from([(key.clone(), least - 1)])).validate().is_err(), "{key}");
    }
}

#[test]
fn interfaces_are_described_and_hashed_as_the_page_says() {
    let interface = Interface::new::<MsgPack>("jobs").with("a", "x -> y").with("b", "");
    let mut bytes = bytes::BytesMut::new();
    MsgPack::encode(&interface, &mut bytes).unwrap();
    let list = between("An interface is a map: `", "`");
    let mut named: Vec<String> =
        fields(&list.replace(" (\"postcard\" or \"msgpack\")", "")).into_keys().collect();
    named.sort_unstable();
    assert_eq!(keys(&bytes), named);
    assert_eq!([Postcard::NAME, MsgPack::NAME], ["postcard", "msgpack"]);

    let hex = |text: &str| {
        let digits = text.trim_start_matches("0x").replace('_', "");
        u64::from_str_radix(&digits, 16).unwrap()
    };
    let listed = between("SipHash-2-4-128, with the keys `", "`, of the lines");
    let (one, other) = listed.split_once("` and `").unwrap();
    says("`interface NAME codec CODEC` and one for each method, each ended by a line feed");
    let mut hasher = SipHasher24::new_with_keys(hex(one), hex(other));
    hasher.write(b"interface jobs codec msgpack\na: x -> y\nb: \n");
    assert_eq!(&hasher.finish128().as_bytes(), interface.fingerprint().as_bytes());
}

#[test]
fn the_reserved_targets_are_those_of_the_table() {
    let rows = table("| target | arguments | answered |");
    let targets: Vec<u32> = rows
        .iter()
        .map(|row| u32::from_str_radix(&row[0].trim_matches('`').replace('_', "")[2..], 16).unwrap())
        .collect();
    assert_eq!(targets, [target::EXPECT, target::MEET]);
    assert_eq!(target::RESERVED, targets[0]);
}

#[test]
fn a_cancel_has_the_fields_and_causes_of_the_page() {
    let message = CancelMessage::new(CancelCause::Signal(2), "why").with_by("/a");
    let mut named: Vec<String> =
        fields(&between("The body of a CANCEL is a map `", "`")).into_keys().collect();
    named.sort_unstable();
    assert_eq!(keys(&message.to_bytes()), named);

    let listed = between("A cause is one of the texts `", "`, or the map");
    for name in names(&listed) {
        // No arm for all others: a cause that is added must be written down.
        let cause = cause(name);
        assert!(wire(&CancelMessage::new(cause, ""), "cause") == Value::Text(name.to_owned()), "{name}");
    }
    says("or the map `{\"Signal\": int}`");
    let signal = Value::Map(BTreeMap::from([("Signal".to_owned(), Value::Number(2))]));
    assert_eq!(wire(&message, "cause"), signal);
    let many = names(&listed).len();
    assert_eq!(many, 9, "{listed}");

    // What the page says of lengths.
    let long = CancelMessage::new(CancelCause::Panic, "x".repeat(10_000)).with_by("y".repeat(10_000));
    let read = CancelMessage::from_bytes(&long.to_bytes()).unwrap();
    says("`message` has at most 4 KiB and `by` 1 KiB");
    assert_eq!((read.message.len(), read.by.unwrap().len()), (4 * 1024, 1024));
}

/// The cause that the page calls so.
fn cause(name: &str) -> CancelCause {
    match name {
        "Explicit" => CancelCause::Explicit,
        "Sibling" => CancelCause::Sibling,
        "Panic" => CancelCause::Panic,
        "Parent" => CancelCause::Parent,
        "Shutdown" => CancelCause::Shutdown,
        "Peer" => CancelCause::Peer,
        "Deadline" => CancelCause::Deadline,
        "Finished" => CancelCause::Finished,
        "Dropped" => CancelCause::Dropped,
        other => panic!("there is no cause {other}"),
    }
}

/// A field of a message as it travels.
fn wire(message: &impl Serialize, field: &str) -> Value {
    let mut bytes = bytes::BytesMut::new();
    MsgPack::encode(message, &mut bytes).unwrap();
    let Value::Map(mut map) = MsgPack::decode::<Value>(&bytes).unwrap() else { panic!("it is a map") };
    map.remove(field).unwrap()
}

#[test]
fn a_report_has_the_fields_kinds_and_bounds_of_the_page() {
    let list = between("A report is a map `", "`. A kind");
    let report = Report::new(ReportKind::Panic, "m");
    let mut named: Vec<String> = fields(&list).into_keys().collect();
    named.sort_unstable();
    assert_eq!(keys(&report.to_bytes(FRAME_MAX)), named);
    assert_eq!(fields(&list)["chain"], "list 16 texts");
    assert_eq!(fields(&list)["relays"], "list 16 texts");

    let listed = between("A kind is one of the texts `", "`. `typed`");
    let kinds = [
        ReportKind::Error,
        ReportKind::Panic,
        ReportKind::Cancelled,
        ReportKind::Protocol,
        ReportKind::Unknown,
        ReportKind::Dropped,
    ];
    let texts = kinds.map(|kind| wire(&Report::new(kind, ""), "kind"));
    assert_eq!(
        names(&listed).into_iter().map(|name| Value::Text(name.to_owned())).collect::<Vec<_>>(),
        texts
    );

    says("\"optional\" may be `nil` or missing");
    let is_optional = |how: &String| how.starts_with("optional");
    let required = fields(&list).into_iter().filter(|(_, how)| !is_optional(how)).map(|(name, how)| {
        let value = match (name.as_str(), how.as_str()) {
            ("kind", _) => Value::Text("Error".to_owned()),
            (_, "text") => Value::Text(String::new()),
            _ => Value::List(Vec::new()),
        };
        (name, value)
    });
    let mut bytes = bytes::BytesMut::new();
    MsgPack::encode(&Value::Map(required.collect()), &mut bytes).unwrap();
    assert_eq!(Report::from_bytes(&bytes).unwrap(), Report::new(ReportKind::Error, ""));

    says("message and backtrace 16 KiB, relays 512 bytes, others 1 KiB");
    let long = || "x".repeat(100_000);
    let mut report = Report::new(ReportKind::Error, long());
    report.type_name = long();
    report.chain = vec![long(); 40];
    report.relays = vec![long(); 40];
    for text in [&mut report.location, &mut report.backtrace, &mut report.path, &mut report.task] {
        *text = Some(long());
    }
    let read = Report::from_bytes(&report.to_bytes(FRAME_MAX)).unwrap();
    let len = |text: &Option<String>| text.as_ref().unwrap().len();
    assert_eq!((read.message.len(), len(&read.backtrace)), (16 * 1024, 16 * 1024));
    assert_eq!((read.chain.len(), read.relays.len()), (16, 16));
    assert_eq!((read.chain[0].len(), read.relays[0].len(), read.type_name.len()), (1024, 512, 1024));
    assert_eq!([len(&read.location), len(&read.path), len(&read.task)], [1024; 3]);
    let mut chain_of_17 = report.clone();
    chain_of_17.chain = vec![String::new(); 17];
    let mut bytes = bytes::BytesMut::new();
    MsgPack::encode(&chain_of_17, &mut bytes).unwrap();
    assert!(Report::from_bytes(&bytes).is_err());
}

#[test]
fn an_introduction_has_the_field_and_the_bound_of_the_page() {
    says("The body is a map `name: text`, its path, of at most 1 KiB.");
    let message = IntroduceMessage::new("x".repeat(10_000));
    assert_eq!(keys(&message.to_bytes()), ["name"]);
    assert_eq!(IntroduceMessage::from_bytes(&message.to_bytes()).unwrap().name.len(), 1024);
}

#[test]
fn so_many_interfaces_methods_and_levels_are_taken_and_no_more() {
    says("`interfaces` is a list of at most 64 [interfaces](#interfaces)");
    says("methods: list of at most 4096 texts");
    let hello = |interfaces: usize, methods: usize| {
        let mut interface = Interface::new::<MsgPack>("i");
        for _ in 0..methods {
            interface = interface.with("", "");
        }
        let mut hello = Hello::new(BuildId::new([9; 16]), "r", "n");
        hello.interfaces = vec![interface; interfaces];
        hello.accept(&hello.to_bytes().unwrap())
    };
    assert!(hello(64, 0).is_ok() && hello(65, 0).is_err());
    assert!(hello(1, 4096).is_ok() && hello(1, 4097).is_err());

    says("nested deeper than 128 levels");
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Nested(Vec<Nested>);
    // A list is a level, and so is the struct around it.
    let nested = |levels: usize| (0..levels / 2 - 1).fold(Nested::default(), |inner, _| Nested(vec![inner]));
    for (levels, is_taken) in [(128, true), (130, false)] {
        let mut bytes = bytes::BytesMut::new();
        Postcard::encode(&nested(levels), &mut bytes).unwrap();
        assert_eq!(Postcard::decode::<Nested>(&bytes).is_ok(), is_taken, "{levels} levels");
    }
}
