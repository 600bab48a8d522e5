//! The log of a termination: each step, in its order, with the child and the reason.
//!
//! One test, alone in its binary: whether a place logs at all is remembered for the whole process.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{Boot, Ladder, ROLES, Role, Spec, spawn};
use triune_testing::LeakGuard;

triune_process::constructor!();

#[distributed_slice(ROLES)]
static STUBBORN: Role = Role { name: "stubborn", main: stubborn };

/// Ignores SIGTERM (a shell does it, which needs no unsafe code here) and the end of its link.
fn stubborn(boot: Boot) -> u8 {
    use std::os::unix::process::CommandExt;
    #[expect(clippy::disallowed_methods, reason = "replaces this process, and starts none")]
    let mut shell = std::process::Command::new("/bin/sh");
    let mut link = boot.into_link();
    let output = link.try_clone().expect("descriptors are left");
    shell.args(["-c", "trap '' TERM; printf r; exec sleep 1000 >/dev/null"]);
    let error = shell.stdout(std::os::fd::OwnedFd::from(output)).exec();
    let _unheard = link.write_all(error.to_string().as_bytes());
    1
}

/// What is logged, a line for each event: its level, then its fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("triune_process::terminate")
    }
    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.0.lock().expect("nothing panics under it").push(text.0);
    }
    fn enter(&self, _span: &tracing::span::Id) {}
    fn exit(&self, _span: &tracing::span::Id) {}
}

#[test]
fn each_step_of_the_ladder_is_logged_with_the_child_and_the_reason() {
    let guard = LeakGuard::new();
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pid = tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let (process, mut link) = spawn(Spec::new("stubborn", "mule")).await.expect("a child starts");
            link.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
            link.read_exact(&mut [0]).expect("it says that it is ready");
            let ladder = Ladder::new(Duration::from_millis(10), Duration::from_millis(20));
            process.terminate(&ladder, "the field is ploughed").await;
            triune_scope::Run::current().close().await;
            process.pid()
        })
    });
    let lines = log.0.lock().expect("nothing panics under it").clone();
    let steps = [
        ("DEBUG", "waiting for the child to end", " grace=10ms"),
        ("INFO", "sending SIGTERM", " grace=10ms"),
        ("WARN", "sending SIGKILL", " grace=20ms"),
        ("DEBUG", "child is reaped, and nothing is left of it", " exit=killed by SIGKILL"),
    ];
    assert_eq!(lines.len(), steps.len(), "{lines:#?}");
    for (line, (level, step, detail)) in lines.iter().zip(steps) {
        let of_whom = format!("pid={pid} name=\"mule\" why=\"the field is ploughed\"");
        let says_all = [step, detail, &of_whom].iter().all(|text| line.contains(text));
        assert!(line.starts_with(level) && says_all, "{step}: {line}");
    }
    guard.finish();
}
