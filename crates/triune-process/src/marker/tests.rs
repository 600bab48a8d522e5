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
fn a_link_mark_is_read_back_and_what_is_made_up_is_none() {
    for role in ["worker", "a:b", ""] {
        let mark = LinkMark { role: role.to_owned(), descriptor: 3, inode: u64::MAX };
        assert_eq!(LinkMark::decode(&mark.encode()), Some(mark));
    }
    for text in ["", "3", "3:7", "worker:x:7", "worker:3:", "worker:3:-1", "worker:3"] {
        assert_eq!(LinkMark::decode(text).filter(|mark| mark.role == "worker"), None, "{text}");
    }
}

#[test]
fn an_ordinary_process_is_a_root() {
    assert!(matches!(identify(), Identity::Root));
}

#[test]
fn a_membership_is_read_back_and_what_is_made_up_is_none() {
    let membership = Membership { owner: 7, requests: 3, level: Containment::Hard, guardian: u64::MAX };
    assert_eq!(Membership::decode(&membership.encode()), Some(Membership { ..membership }));
    let value = membership.encode();
    assert!(Membership::is_beneath(value.as_bytes(), u64::MAX));
    assert!(!Membership::is_beneath(value.as_bytes(), 1));
    for text in ["", "7", "7:3:hard", "7:3:soft:1", "7:3:hard:1:2", "x:3:hard:1"] {
        assert_eq!(Membership::decode(text), None, "{text}");
    }
}
