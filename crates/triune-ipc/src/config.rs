//! What a side needs to know before it opens a link.

use std::time::Duration;

use triune_wire::{Hello, Limits};

/// Settings of one end of a link.
///
/// ```
/// use std::time::Duration;
/// use triune_ipc::Config;
/// use triune_wire::{BuildId, Hello, Limits};
///
/// let mut limits = Limits::default();
/// limits.max_message = 1 << 20;
/// let mut config = Config::new(Hello::new(BuildId::new([7; 16]), "actor", "example")).with_limits(limits);
/// config.spin = Duration::from_micros(50);
/// assert_eq!(config.hello.limits.max_message, 1 << 20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// What this side says about itself; its [`limits`](Hello::limits) bind the other side.
    pub hello: Hello,
    /// How long the other side may take for its HELLO. Default 10 s.
    pub handshake_timeout: Duration,
    /// How many bytes wait for the socket at most before calls and items have to wait. Default 4 MiB. One
    /// message may exceed it.
    pub queue_bytes: usize,
    /// Whether the other side is asked for a sign of life. Default: no. A side that is silent for long may be
    /// stopped, or its machine gone; one that is merely dead is noticed without this.
    pub heartbeat: Option<Heartbeat>,
    /// For how long the driver looks at the socket again and again before it parks, after anything was read
    /// or written. Default zero. It saves the wake-up, which is most of a short round trip, and keeps a
    /// processor busy for so long; other tasks of the runtime run in between. Some 50 µs are enough for
    /// answers that come at once.
    pub spin: Duration,
    /// Whether the other side may introduce somebody: pass a socket to them. Default: no; descriptors that it
    /// sends are closed then.
    pub accepts_introductions: bool,
}

/// How a side finds out that the other one is silent.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::time::Duration;
/// use triune_ipc::{Config, Heartbeat, LinkEnd, connect};
/// use triune_wire::{BuildId, Hello};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (one, other) = UnixStream::pair()?;
/// let plain = Config::new(Hello::new(BuildId::new([7; 16]), "actor", "example"));
/// let mut watchful = plain.clone();
/// watchful.heartbeat = Some(Heartbeat::new(Duration::from_millis(2), Duration::from_millis(2)));
/// let (ours, _theirs) = tokio::try_join!(connect(one, watchful), connect(other, plain))?;
/// // The other side says hello, and then its driver is never polled.
/// let end = ours.1.run().await;
/// assert!(matches!(end, LinkEnd::Stalled { silent, .. } if silent.as_millis() >= 4));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// After how long a silence a PING is sent.
    pub every: Duration,
    /// How long its answer, or anything else, may take: then the link ends as
    /// [`Stalled`](crate::LinkEnd::Stalled).
    pub patience: Duration,
    /// Whether a PING is sent.
    pub(crate) asks: bool,
}

impl Heartbeat {
    /// A PING after `every` of silence, the end of the link `patience` later.
    pub const fn new(every: Duration, patience: Duration) -> Heartbeat {
        Heartbeat { every, patience, asks: true }
    }

    /// The end of the link after so long a silence of a side that gives signs of life unasked, such as one that beats a
    /// [`Pulse`](crate::blocking::Pulse). Nothing is written for it.
    pub fn listening(timeout: Duration) -> Heartbeat {
        let every = timeout / 2;
        Heartbeat { every, patience: timeout - every, asks: false }
    }
}

impl Config {
    /// The default settings with this HELLO.
    pub const fn new(hello: Hello) -> Config {
        Config {
            hello,
            handshake_timeout: Duration::from_secs(10),
            queue_bytes: 4 * 1024 * 1024,
            heartbeat: None,
            spin: Duration::ZERO,
            accepts_introductions: false,
        }
    }

    /// The same settings, with these limits for the other side.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Config {
        self.hello.limits = limits;
        self
    }
}
