//! ipc-channel 0.23: its channels of bytes, which need no codec, in both directions. It blocks threads instead of tasks.
//!
//! A message begins with what it asks for; the payload of an echo begins so, too.

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender};
use std::io::{Read as _, Write as _};
use triune_bench::{Bench, SMALL};
use triune_process::{Boot, ROLES, Role};

use crate::peer::{MIB, Other, Peer};

const ECHO: u8 = 0;
const LENGTH: u8 = 1;
const ITEMS: u8 = 2;

/// The ends that the other process makes for this one.
type Ends = (IpcBytesSender, IpcBytesReceiver);

pub(crate) struct IpcChannel {
    sender: IpcBytesSender,
    receiver: IpcBytesReceiver,
    small: Vec<u8>,
    large: Vec<u8>,
    _other: Other,
}

impl IpcChannel {
    pub(crate) fn start() -> Self {
        // The runtime only starts and ends the process.
        let (other, mut link) = Other::start(Bench::current_thread(), "bench-ipc-channel");
        let (server, name) = IpcOneShotServer::<Ends>::new().expect("the system gives a socket");
        let bytes = [&[u8::try_from(name.len()).expect("a short name")], name.as_bytes()].concat();
        link.write_all(&bytes).expect("the other process lives");
        let (_first, (sender, receiver)) = server.accept().expect("the other process connects");
        let (mut small, mut large) = (vec![7; SMALL], vec![7; MIB]);
        (small[0], large[0]) = (ECHO, LENGTH);
        Self { sender, receiver, small, large, _other: other }
    }

    fn send(&self, message: &[u8]) {
        self.sender.send(message).expect("the other process lives");
    }

    fn receive(&self) -> Vec<u8> {
        self.receiver.recv().expect("the other process lives")
    }
}

impl Peer for IpcChannel {
    fn name(&self) -> &'static str {
        "ipc-channel"
    }

    fn calls(&mut self, times: usize, in_flight: usize) -> bool {
        for _ in 0..times.div_ceil(in_flight) {
            (0..in_flight).for_each(|_| self.send(&self.small));
            for _ in 0..in_flight {
                assert_eq!(self.receive().len(), SMALL);
            }
        }
        true
    }

    fn stream(&mut self, size: usize, count: usize) -> bool {
        let numbers = [size as u64, count as u64].map(u64::to_le_bytes).concat();
        self.send(&[&[ITEMS], &numbers[..]].concat());
        for _ in 0..count {
            assert_eq!(self.receive().len(), size);
        }
        true
    }

    fn large_calls(&mut self, times: usize) -> bool {
        for _ in 0..times {
            self.send(&self.large);
            assert_eq!(self.receive(), (MIB as u64).to_le_bytes());
        }
        true
    }
}

#[linkme::distributed_slice(ROLES)]
static IPC_CHANNEL: Role = Role { name: "bench-ipc-channel", main: other_side };

fn other_side(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    let mut len = [0];
    link.read_exact(&mut len).expect("the benchmark lives");
    let mut name = vec![0; usize::from(len[0])];
    link.read_exact(&mut name).expect("the benchmark lives");
    let name = String::from_utf8(name).expect("a name");
    let server = IpcSender::<Ends>::connect(name).expect("the benchmark listens");
    let (to_me, requests) = ipc::bytes_channel().expect("the system gives a socket");
    let (answers, from_me) = ipc::bytes_channel().expect("the system gives a socket");
    server.send((to_me, from_me)).expect("the benchmark listens");
    while let Ok(request) = requests.recv() {
        let answered = match request[0] {
            ECHO => answers.send(&request),
            LENGTH => answers.send(&(request.len() as u64).to_le_bytes()),
            _ => items(&answers, &request[1..]),
        };
        if answered.is_err() {
            break;
        }
    }
    0
}

fn items(answers: &IpcBytesSender, numbers: &[u8]) -> std::io::Result<()> {
    let number = |at| u64::from_le_bytes(numbers[at..at + 8].try_into().expect("eight bytes"));
    let item = vec![7; usize::try_from(number(0)).expect("a size")];
    for _ in 0..number(8) {
        answers.send(&item)?;
    }
    Ok(())
}
