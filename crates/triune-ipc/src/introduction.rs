//! Introductions: two processes that one process can talk to get a socket between them.
//!
//! Owns the pair of sockets until both ends are queued. So one host needs no listening sockets, and there is
//! nothing to authenticate: whoever holds an end was given it by a process that both trust.

use std::io;
use std::os::unix::net::UnixStream;

use crate::Link;

/// Somebody whom this side can talk to from now on: open a link of its own with
/// [`connect`](crate::connect). Dropping it closes the socket, which tells the other one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Introduction {
    /// The path of the other process, as the one that introduced it says.
    pub name: String,
    /// One end of a socket; the other process has the other end.
    pub socket: UnixStream,
}

/// Introduces the processes at the other ends of these two links to each other. Both must accept it
/// ([`Config::accepts_introductions`](crate::Config::accepts_introductions)).
///
/// # Errors
/// The system gives no pair of sockets.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use triune_ipc::{Config, Request, connect, introduce};
/// use triune_wire::{BuildId, Hello};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = |name| {
///     let mut config = Config::new(Hello::new(BuildId::new([7; 16]), "example", name));
///     config.accepts_introductions = true;
///     config
/// };
/// let ((a, to_a), (b, to_b)) = (UnixStream::pair()?, UnixStream::pair()?);
/// let (to_a, a, to_b, b) = tokio::try_join!(
///     connect(to_a, config("parent")),
///     connect(a, config("a")),
///     connect(to_b, config("parent")),
///     connect(b, config("b")),
/// )?;
/// introduce(&to_a.0, &to_b.0)?;
///
/// let (mut a_incoming, mut b_incoming) = (a.2, b.2);
/// let meet = async { tokio::join!(a_incoming.recv(), b_incoming.recv()) };
/// let drive = async { tokio::join!(to_a.1.run(), a.1.run(), to_b.1.run(), b.1.run()) };
/// let met = tokio::select! { met = meet => met, _ = drive => panic!("the links go on") };
/// let (Some(Request::Introduction(b)), Some(Request::Introduction(a))) = met else { panic!("not introduced") };
/// assert_eq!((b.name.as_str(), a.name.as_str()), ("b", "a"));
/// tokio::try_join!(connect(b.socket, config("a")), connect(a.socket, config("b")))?;
/// # Ok(())
/// # }
/// ```
pub fn introduce(one: &Link, other: &Link) -> io::Result<()> {
    let (ones, others) = UnixStream::pair()?;
    one.pass_socket(&other.peer().name, ones);
    other.pass_socket(&one.peer().name, others);
    Ok(())
}
