//! What becomes of the memory of large frames.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use triune_wire::{Header, Kind};

use super::*;

struct Items {
    intake: Intake,
    socket: Socket,
    theirs: UnixStream,
}

impl Items {
    fn new() -> Items {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        Items { intake: Intake::new(BytesMut::new()), socket: Socket::new(Arc::new(ours)).unwrap(), theirs }
    }

    /// One item of this length, there and received.
    async fn one(&mut self, len: usize) -> Bytes {
        let Items { intake, socket, theirs } = self;
        let mut frame = Vec::new();
        Header::new(Kind::Item, 1).frame(&vec![7; len], &mut frame);
        theirs.write_all(&frame).unwrap();
        loop {
            if let Some(frame) = intake.next_frame().unwrap() {
                assert!(frame.body.len() == len && frame.body.iter().all(|byte| *byte == 7));
                return frame.body;
            }
            assert!(poll_fn(|cx| intake.poll_read(socket, cx)).await.unwrap() > 0);
        }
    }
}

/// Also while the consumer is some items behind.
#[tokio::test]
async fn the_memory_of_large_items_is_used_again() {
    let mut items = Items::new();
    let mut held = VecDeque::new();
    let mut places = HashSet::new();
    for round in 0..1000 {
        let item = items.one(64 * 1024).await;
        if round >= 100 {
            places.insert(item.as_ptr());
        }
        held.push_back(item);
        if held.len() > 8 {
            held.pop_front();
        }
    }
    // Four items to a block, and no more blocks than are kept, with the one that is read into.
    assert!(places.len() <= 4 * (KEPT + 1), "{} places", places.len());
}

#[tokio::test]
async fn of_a_consumer_that_holds_everything_no_more_is_kept() {
    let mut items = Items::new();
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(items.one(64 * 1024).await);
        assert!(items.intake.kept.len() <= KEPT);
    }
}

#[tokio::test]
async fn nothing_is_kept_when_frames_are_small_again() {
    let mut items = Items::new();
    for _ in 0..100 {
        drop(items.one(64 * 1024).await);
    }
    assert!(!items.intake.kept.is_empty());
    let mut left = 4 * LARGE_BLOCK;
    while left > 0 {
        left = left.saturating_sub(items.one(1000).await.len());
    }
    assert!(items.intake.kept.is_empty());
    assert!(items.intake.buffer.capacity() <= LARGE_BLOCK);
}

/// So that no part of one must be moved into the next block.
#[tokio::test]
async fn reads_of_large_frames_end_where_a_frame_does() {
    let mut items = Items::new();
    for _ in 0..40 {
        drop(items.one(20_000).await);
    }
    let mut some = Vec::new();
    for _ in 0..6 {
        Header::new(Kind::Item, 1).frame(&[7; 20_000], &mut some);
    }
    for _ in 0..20 {
        items.theirs.write_all(&some).unwrap();
        let mut received = 0;
        while received < 6 {
            assert!(poll_fn(|cx| items.intake.poll_read(&items.socket, cx)).await.unwrap() > 0);
            while items.intake.next_frame().unwrap().is_some() {
                received += 1;
            }
            assert!(items.intake.buffer.is_empty(), "a part of the next one was read with it");
        }
    }
}
