//! The mark survives its encoding, and nothing else passes for one.

use super::*;

#[test]
fn a_marker_survives_its_encoding_also_with_colons_in_the_role() {
    for role in ["worker", "a:b", ""] {
        let marker = Marker { role: role.to_owned(), parent: 4711, nonce: u64::MAX };
        assert_eq!(Marker::decode(&marker.encode()), Some(marker));
    }
}

#[test]
fn other_versions_and_garbage_are_not_markers() {
    for text in [
        "",
        ":",
        "1",
        "1:worker",
        "2:worker:1:0",
        "1:worker:x:0",
        "1:worker:1:xyz",
        "1:worker:-1:0",
        "worker:1:0",
    ] {
        assert_eq!(Marker::decode(text), None, "{text}");
    }
}

#[test]
fn an_ordinary_process_is_a_root() {
    assert!(matches!(identify(), Identity::Root));
}
