//! The floor: bytes over a Unix socket between two tokio runtimes, with nothing around them.
//!
//! "In flight" are so many messages in one write, answered by whatever the other side finds in one read.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use triune_bench::{Bench, SMALL};
use triune_process::{Boot, ROLES, Role};

use crate::peer::{MIB, Other, Peer, to_tokio};

/// How much a side reads or writes at a time when it streams.
const PIECE: usize = 256 * 1024;

pub(crate) struct Raw {
    // Before the processes: they end when their links do.
    echo: UnixStream,
    items: UnixStream,
    large: UnixStream,
    buffer: Vec<u8>,
    other: Other,
    _more: [Other; 2],
}

impl Raw {
    pub(crate) fn start(bench: Bench) -> Self {
        let start = |bench: Bench, role| {
            let (other, link) = Other::start(bench, role);
            let link = other.block_on(async { to_tokio(link) });
            (other, link)
        };
        // Their own runtimes only start and end them.
        let (one, items) = start(Bench::current_thread(), "bench-raw-items");
        let (two, large) = start(Bench::current_thread(), "bench-raw-large");
        let (other, echo) = start(bench, "bench-raw-echo");
        // All three are read in the runtime of the flavour that is asked for.
        let move_here = |link: UnixStream| {
            let link = link.into_std().expect("the socket can be taken out of its runtime");
            other.block_on(async { UnixStream::from_std(link).expect("the runtime takes the socket") })
        };
        let (items, large) = (move_here(items), move_here(large));
        Self { echo, items, large, buffer: vec![7; PIECE.max(MIB)], other, _more: [one, two] }
    }
}

impl Peer for Raw {
    fn name(&self) -> &'static str {
        "raw socket"
    }

    fn calls(&mut self, times: usize, in_flight: usize) -> bool {
        let Self { echo, buffer, other, .. } = self;
        let batch = &mut buffer[..SMALL * in_flight];
        other.block_on(async {
            for _ in 0..times.div_ceil(in_flight) {
                echo.write_all(batch).await.expect("the other process lives");
                echo.read_exact(batch).await.expect("the other process lives");
            }
        });
        true
    }

    fn stream(&mut self, size: usize, count: usize) -> bool {
        let Self { items, buffer, other, .. } = self;
        other.block_on(async {
            let mut left = (size * count) as u64;
            items.write_all(&left.to_le_bytes()).await.expect("the other process lives");
            while left > 0 {
                let read = items.read(&mut buffer[..PIECE]).await.expect("the other process lives");
                left -= read as u64;
            }
        });
        true
    }

    fn large_calls(&mut self, times: usize) -> bool {
        let Self { large, buffer, other, .. } = self;
        other.block_on(async {
            for _ in 0..times {
                large.write_all(&buffer[..MIB]).await.expect("the other process lives");
                let len = large.read_u64_le().await.expect("the other process lives");
                assert_eq!(len, MIB as u64);
            }
        });
        true
    }
}

#[linkme::distributed_slice(ROLES)]
static ECHO: Role = Role { name: "bench-raw-echo", main: |boot| serve(boot, echo) };
#[linkme::distributed_slice(ROLES)]
static ITEMS: Role = Role { name: "bench-raw-items", main: |boot| serve(boot, items) };
#[linkme::distributed_slice(ROLES)]
static LARGE: Role = Role { name: "bench-raw-large", main: |boot| serve(boot, large) };

fn serve(boot: Boot, work: impl AsyncFnOnce(UnixStream) -> std::io::Result<()>) -> u8 {
    let link = boot.into_link();
    // The benchmark closes its end when it is done.
    let _closed = Bench::current_thread().block_on(async { work(to_tokio(link)).await });
    0
}

async fn echo(mut link: UnixStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = link.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        link.write_all(&buffer[..len]).await?;
    }
}

async fn items(mut link: UnixStream) -> std::io::Result<()> {
    let piece = vec![7; PIECE];
    loop {
        let mut left = link.read_u64_le().await?;
        while left > 0 {
            let len = left.min(PIECE as u64);
            link.write_all(&piece[..usize::try_from(len).expect("a piece fits")]).await?;
            left -= len;
        }
    }
}

async fn large(mut link: UnixStream) -> std::io::Result<()> {
    let mut buffer = vec![0; MIB];
    loop {
        link.read_exact(&mut buffer).await?;
        link.write_all(&(MIB as u64).to_le_bytes()).await?;
    }
}
