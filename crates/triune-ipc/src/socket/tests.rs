//! What a socket is registered for, as the kernel tells it.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use super::*;

const EPOLLIN: u32 = 0x1;
const EPOLLOUT: u32 = 0x4;

fn pair() -> (Socket, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Socket::new(Arc::new(ours)).unwrap(), theirs)
}

/// The events that the runtime's epoll waits for on this socket.
fn events(socket: &Socket) -> u32 {
    let fd = format!("tfd: {:8} events: ", socket.stream().as_raw_fd());
    let infos = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = infos.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let lines = infos.flat_map(|info| info.lines().map(str::to_owned).collect::<Vec<_>>());
    let masks =
        lines.filter_map(|line| Some(line.strip_prefix(&fd)?.trim_start().split(' ').next()?.to_owned()));
    // The runtime has several descriptors of its one epoll.
    let masks: BTreeSet<_> = masks.collect();
    assert_eq!(masks.len(), 1, "one epoll watches the socket: {masks:?}");
    u32::from_str_radix(masks.first().unwrap(), 16).unwrap() & (EPOLLIN | EPOLLOUT)
}

async fn write_one(socket: &mut Socket) {
    let written = poll_fn(|cx| socket.poll_write(&[IoSlice::new(b"x")], cx)).await;
    assert_eq!(written.unwrap(), 1);
}

#[tokio::test]
async fn room_is_asked_for_from_a_full_socket_until_it_has_long_had_some() {
    let (mut socket, mut theirs) = pair();
    assert_eq!(events(&socket), EPOLLIN);
    write_one(&mut socket).await;
    assert_eq!(events(&socket), EPOLLIN);

    // Nobody reads, so it is full some time.
    let piece = [7; 16 * 1024];
    let mut written = 1;
    let full = poll_fn(|cx| {
        while let Poll::Ready(n) = socket.poll_write(&[IoSlice::new(&piece)], cx) {
            written += n.unwrap();
            assert!(tokio::task::coop::has_budget_remaining(), "the socket is never full");
        }
        Poll::Ready(())
    });
    full.await;
    assert_eq!(events(&socket), EPOLLIN | EPOLLOUT);

    // There is room again.
    std::thread::scope(|threads| {
        threads.spawn(|| theirs.read_exact(&mut vec![0; written]).unwrap());
    });
    write_one(&mut socket).await;
    for _ in 0..CALM {
        assert_eq!(events(&socket), EPOLLIN | EPOLLOUT);
        write_one(&mut socket).await;
    }
    assert_eq!(events(&socket), EPOLLIN);
}

#[tokio::test]
async fn what_is_there_before_it_is_registered_anew_is_still_told() {
    let (mut socket, mut theirs) = pair();
    let mut buffer = BytesMut::with_capacity(64);
    let is_empty = poll_fn(|cx| Poll::Ready(socket.poll_read(&mut buffer, 64, cx).is_pending())).await;
    assert!(is_empty);
    theirs.write_all(b"there").unwrap();
    socket.register(Interest::READABLE | Interest::WRITABLE).unwrap();
    assert_eq!(poll_fn(|cx| socket.poll_read(&mut buffer, 64, cx)).await.unwrap(), 5);
    assert_eq!(buffer, b"there"[..]);
}

#[tokio::test]
async fn a_read_fills_the_spare_room_and_no_more() {
    let (socket, mut theirs) = pair();
    let mut buffer = BytesMut::with_capacity(8);
    buffer.extend_from_slice(b"ab");
    theirs.write_all(b"cdefghijkl").unwrap();
    let room = buffer.capacity() - buffer.len();
    assert_eq!(poll_fn(|cx| socket.poll_read(&mut buffer, 3, cx)).await.unwrap(), 3);
    assert_eq!(buffer, b"abcde"[..]);
    assert_eq!(poll_fn(|cx| socket.poll_read(&mut buffer, 64, cx)).await.unwrap(), room.min(10) - 3);
    assert_eq!(buffer, b"abcdefghijkl"[..2 + room.min(10)]);
}
