//! The relay between two ends: what passes, what each fault does, and that nothing of it is left.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use triune_testing::fault::{Direction, Fault, Plan, relay};
use triune_testing::{LeakGuard, Random};

const HEADER: usize = 16;

/// A frame with this body.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame[..4].copy_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// The two ends of a link with a relay in it: the child's, the parent's.
fn link(plan: Plan) -> (UnixStream, UnixStream) {
    let (child, stream) = UnixStream::pair().unwrap();
    (child, relay(stream, plan).unwrap())
}

/// All that comes until the end of the link.
fn rest(mut stream: UnixStream) -> Vec<u8> {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        // The other side went away before it had read everything, as a process that dies does.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        end => drop(end.unwrap()),
    }
    received
}

#[test]
fn frames_of_every_size_pass_unchanged_in_both_directions() {
    let guard = LeakGuard::new();
    let (mut child, mut parent) = link(Plan::new());
    let frames: Vec<u8> =
        [0, 1, 16, 65_535, 65_536, 300_000].into_iter().flat_map(|len| frame(&vec![7; len])).collect();
    for towards_parent in [true, false] {
        let (from, to) = if towards_parent { (&mut child, &mut parent) } else { (&mut parent, &mut child) };
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| from.write_all(&frames).unwrap());
            let mut received = vec![0; frames.len()];
            to.read_exact(&mut received).unwrap();
            assert!(received == frames);
            sender.join().unwrap();
        });
    }
    drop((child, parent));
    guard.finish();
}

#[test]
fn an_end_that_is_closed_closes_the_other_after_what_was_sent() {
    let guard = LeakGuard::new();
    for close_child in [true, false] {
        let (child, parent) = link(Plan::new());
        let (mut closing, other) = if close_child { (child, parent) } else { (parent, child) };
        closing.write_all(&frame(b"last words")).unwrap();
        drop(closing);
        assert_eq!(rest(other), frame(b"last words"));
    }
    guard.finish();
}

#[test]
fn last_words_of_a_child_arrive_although_it_reads_no_more() {
    let guard = LeakGuard::new();
    for _ in 0..200 {
        let (mut child, mut parent) = link(Plan::new());
        parent.write_all(&frame(b"never read")).unwrap();
        child.write_all(&frame(b"last words")).unwrap();
        drop(child);
        // The link may be known to be closed by now, or not yet.
        drop(parent.write_all(&frame(b"too late")));
        assert_eq!(rest(parent), frame(b"last words"));
    }
    guard.finish();
}

#[test]
fn a_cut_delivers_so_many_bytes_and_closes_both_ends() {
    let guard = LeakGuard::new();
    for after in [0, 5, HEADER, HEADER + 2, HEADER + 3, 1000] {
        let plan = Plan::new().at(Direction::FromChild, 1, Fault::Cut { after });
        let (mut child, parent) = link(plan);
        let frames = [frame(b"one"), frame(b"two"), frame(b"three")].concat();
        child.write_all(&frames).unwrap();
        let whole = HEADER + 3;
        assert_eq!(rest(parent), frames[..whole + after.min(whole)], "after {after} bytes");
        assert_eq!(rest(child), b"");
    }
    guard.finish();
}

#[test]
fn a_corrupted_frame_differs_in_one_byte() {
    let guard = LeakGuard::new();
    for at in [0_usize, 4, HEADER, HEADER + 2, HEADER + 3, 1_000_003] {
        let plan = Plan::new().at(Direction::ToChild, 0, Fault::Corrupt { at, xor: 0x80 });
        let (child, mut parent) = link(plan);
        let sent = [frame(b"one"), frame(b"two")].concat();
        parent.write_all(&sent).unwrap();
        drop(parent);
        let mut expected = sent;
        expected[at % (HEADER + 3)] ^= 0x80;
        assert_eq!(rest(child), expected);
    }
    guard.finish();
}

#[test]
fn a_delay_holds_the_frame_and_those_behind_it() {
    let guard = LeakGuard::new();
    let delay = Duration::from_millis(30);
    let (mut child, parent) = link(Plan::new().at(Direction::FromChild, 0, Fault::Delay(delay)));
    let start = Instant::now();
    child.write_all(&[frame(b"late"), frame(b"later")].concat()).unwrap();
    drop(child);
    assert_eq!(rest(parent), [frame(b"late"), frame(b"later")].concat());
    assert!(start.elapsed() >= delay);
    guard.finish();
}

#[test]
fn no_delay_outlives_its_link() {
    // Fails by its descriptors if it waits for the hour.
    let guard = LeakGuard::new();
    let hour = Duration::from_secs(3600);
    let (mut child, parent) = link(Plan::new().at(Direction::FromChild, 0, Fault::Delay(hour)));
    child.write_all(&frame(b"never")).unwrap();
    drop(parent);
    drop(child);
    guard.finish();
}

#[test]
fn a_seed_gives_the_same_faults_each_time_and_all_kinds_of_them() {
    let plans = |seed| {
        let mut random = Random::new(seed);
        (0..50).map(|_| Plan::random(&mut random, 0..100)).collect::<Vec<_>>()
    };
    assert_eq!(plans(7), plans(7));
    assert_ne!(plans(7), plans(8));
    let text = format!("{:?}", plans(7));
    for kind in ["Kill", "Stop", "Freeze", "Delay", "Cut", "Corrupt", "ToChild", "FromChild"] {
        assert!(text.contains(kind), "{kind} is missing in {text}");
    }
}
