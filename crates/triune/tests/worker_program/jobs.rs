//! The jobs of the tests. They are in this test, in the program `worker.rs`, and, under the same names, in `worker.py`.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use triune::wire::Payload;
use triune::worker::{Shared, set_state, with_state};

#[triune::job]
pub(crate) fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct Sum {
    pub(crate) total: usize,
    pub(crate) first: String,
}

#[triune::job]
pub(crate) fn concat(many: Vec<String>) -> Sum {
    Sum { total: many.iter().map(String::len).sum(), first: many[0].clone() }
}

#[triune::job]
pub(crate) fn echo(data: Payload) -> Payload {
    data
}

#[triune::job]
pub(crate) fn total(numbers: Shared<u64>) -> u64 {
    numbers.iter().sum()
}

/// What only a format that describes itself can carry.
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
#[serde(tag = "kind")]
pub(crate) enum Shape {
    Circle {
        radius: f64,
    },
    Polygon {
        points: Vec<(i32, i32)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
    },
}

#[triune::job]
pub(crate) fn describe(shape: Shape) -> Shape {
    shape
}

#[derive(Debug)]
pub(crate) struct ValueError(String);

impl std::fmt::Display for ValueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

#[triune::job]
pub(crate) fn fail(text: String) -> Result<u32, ValueError> {
    Err(ValueError(text))
}

#[triune::job]
pub(crate) fn panics(text: String) {
    panic!("{text}");
}

#[triune::job]
pub(crate) fn misbehave(how: String) -> u32 {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "about to {how}").expect("somebody reads");
    match how.as_str() {
        "exit" => std::process::exit(3),
        "segfault" => {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::SEGV).expect("it is this process");
        }
        "cut" => cut_the_link(),
        "stray" => {
            #[expect(clippy::disallowed_methods, reason = "stands for what a user's code may do")]
            let mut stray = std::process::Command::new("setsid");
            return stray.args(["sleep", "1000"]).spawn().expect("it exists").id();
        }
        _ => {}
    }
    0
}

/// Shuts down every socket that this process has.
fn cut_the_link() {
    for entry in std::fs::read_dir("/proc/self/fd").expect("this is Linux").flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()).expect("a number");
        let path = format!("/proc/self/fd/{number}");
        let is_socket =
            std::fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        if is_socket && let Ok(socket) = duplicate(number) {
            let _not_connected = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
        }
    }
}

fn duplicate(number: u32) -> rustix::io::Result<OwnedFd> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
    let number = i32::try_from(number).expect("a descriptor is small");
    rustix::process::pidfd_getfd(&own, number, rustix::process::PidfdGetfdFlags::empty())
}

#[triune::job]
pub(crate) fn eat(megabytes: usize) -> usize {
    let mut eaten = vec![0_u8; megabytes << 20];
    eaten.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(eaten).len()
}

/// Uses so much processor time, then gives the number of its process.
#[triune::job]
pub(crate) fn burn(milliseconds: i64) -> u32 {
    let used = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    };
    let begin = used();
    while used() < begin + milliseconds {
        std::hint::spin_loop();
    }
    std::process::id()
}

#[triune::job]
pub(crate) fn read_file(path: String) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// The open descriptors, without those that this needs itself.
#[triune::job]
pub(crate) fn open_descriptors() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("this is Linux").flatten();
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    numbers.sort_unstable();
    numbers
}

/// Those of a program that this one starts, which has none of its own but the folder that it lists.
#[triune::job]
pub(crate) fn descriptors_of_a_child() -> Vec<u32> {
    #[expect(clippy::disallowed_methods, reason = "stands for what a user's code may do")]
    let listed = std::process::Command::new("ls").arg("/proc/self/fd").output().expect("it exists");
    String::from_utf8_lossy(&listed.stdout).lines().filter_map(|number| number.parse().ok()).collect()
}

#[triune::job]
pub(crate) fn load(value: u32) {
    set_state(value);
}

#[triune::job]
pub(crate) fn loaded() -> u32 {
    with_state(|value: &mut u32| *value)
}

#[triune::job]
pub(crate) fn has_state() -> bool {
    triune::worker::try_with_state(|_: &mut u32| ()).is_some()
}
