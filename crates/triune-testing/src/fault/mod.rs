//! A fault injector for links: kills, stops, freezes, delays, cuts or corrupts at the n-th frame between a parent and its child.
//!
//! Actors and workers speak over a Unix socket. An [`Injector`] puts a relay into the links of the children that this
//! process starts while it is installed. The relay passes frames on, one by one, counts them, and does what the
//! [`Plan`] of its link says. The two ends cannot see that it is there: what happens to them is what happens when a process
//! dies, hangs or goes mad.
//!
//! ```standalone_crate
//! use triune::actor::ActorDied;
//! use triune::prelude::*;
//! use triune_testing::fault::{Direction, Fault, Injector, Plan};
//!
//! #[triune::endpoint]
//! async fn double(number: u64) -> u64 {
//!     number * 2
//! }
//!
//! #[triune::main]
//! async fn main() {
//!     // Each actor dies when it sends its third frame: HELLO, the first answer, the second answer.
//!     let injector = Injector::install(|_link| Plan::new().at(Direction::FromChild, 2, Fault::Kill));
//!     let result: Result = nursery(async |n| {
//!         let actor = n.actor("doubler").start().await?;
//!         assert_eq!(actor.call(double::with(21)).await?, 42);
//!         actor.call(double::with(4)).await?;
//!         std::future::pending().await
//!     })
//!     .await;
//!     let error = result.expect_err("an actor that dies fails its nursery");
//!     assert_eq!(error.group().expect("a nursery raises a group").downcast_all::<ActorDied>().len(), 1);
//!     assert_eq!(injector.injected().len(), 1);
//! }
//! ```
//!
//! [`relay`] does the same to any link, without processes:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//! use triune_testing::fault::{Direction, Fault, Plan, relay};
//!
//! let (mut child, stream) = UnixStream::pair()?;
//! // The second frame from the child arrives with another first byte of its body.
//! let plan = Plan::new().at(Direction::FromChild, 1, Fault::Corrupt { at: 16, xor: 0x20 });
//! let mut parent = relay(stream, plan)?;
//!
//! // Two frames: a header of 16 bytes, which begins with the length of the body, and the body.
//! let header = [3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
//! for _ in 0..2 {
//!     child.write_all(&header)?;
//!     child.write_all(b"abc")?;
//! }
//! drop(child);
//! let mut received = Vec::new();
//! parent.read_to_end(&mut received)?;
//! assert_eq!(&received[16..19], b"abc");
//! assert_eq!(&received[19 + 16..], b"Abc");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What a relay is not
//!
//! It reads what a dead process left unread, so a parent behind it never learns that something was provably not read;
//! and it does not pass descriptors on.

mod injector;
mod plan;
mod relay;

pub use injector::{Injected, Injector, LinkInfo};
pub use plan::{Direction, Fault, Plan};
pub use relay::relay;
