//! What a side needs to know before it opens a link.

use std::time::Duration;

use triune_wire::{Hello, Limits};

/// Settings of one end of a link.
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
}

impl Config {
    /// The default settings with this HELLO.
    pub const fn new(hello: Hello) -> Config {
        Config { hello, handshake_timeout: Duration::from_secs(10), queue_bytes: 4 * 1024 * 1024 }
    }

    /// The same settings, with these limits for the other side.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Config {
        self.hello.limits = limits;
        self
    }
}
