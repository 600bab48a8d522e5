//! `#[triune::main]`: how a program ends, as its shell sees it. Not under the test harness, because this is a program with
//! a `main` of its own; started again with `ENDING`, it is the program that is looked at.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use triune::worker;

#[triune::job]
fn spin(gate: String) {
    drop(std::os::unix::net::UnixStream::connect(gate));
    loop {
        std::hint::spin_loop();
    }
}

#[triune::main]
async fn main() -> triune::Result<ExitCode> {
    let Ok(ending) = std::env::var("ENDING") else { return Ok(look()) };
    match ending.as_str() {
        "good" => {
            worker::run(worker::job!(u64::isqrt(9))).await?;
        }
        "code" => return Ok(ExitCode::from(9)),
        "error" => return Err(triune::Error::msg("out of ink").context("printing")),
        "panic" => panic!("on purpose"),
        // A worker is busy when the signal comes; `raise` is sent when it is.
        _ => {
            let folder = tempfile::tempdir()?;
            let gate = folder.path().join("gate");
            let listener = tokio::net::UnixListener::bind(&gate)?;
            let number: i32 = ending.parse()?;
            let signal = async {
                listener.accept().await?;
                let signal = rustix::process::Signal::from_named_raw(number).expect("a signal");
                rustix::process::kill_process(rustix::process::getpid(), signal)?;
                std::future::pending::<triune::Result>().await
            };
            let text = gate.to_str().expect("the path of a temporary folder is text").to_owned();
            triune::nursery(async |n| {
                n.spawn(signal);
                worker::run(spin::with(text)).await?;
                Ok(())
            })
            .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts this program with each ending, and looks at its code and what it says.
fn look() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // The protocol of nextest: there is one test in here, and none that is ignored.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            let mut output = std::io::stdout();
            writeln!(output, "a_program_ends_as_its_shell_expects: test").expect("nextest reads it");
        }
        return ExitCode::SUCCESS;
    }
    for (ending, code, says) in [
        ("good", 0, ""),
        ("code", 9, ""),
        ("error", 1, "error: printing\n  caused by: out of ink\n"),
        ("panic", 101, "on purpose"),
        ("2", 130, ""),
        ("15", 143, ""),
        ("1", 129, ""),
    ] {
        #[expect(clippy::disallowed_methods, reason = "a root of its own, as a shell starts it")]
        let output = Command::new(std::env::current_exe().expect("it runs"))
            .env("ENDING", ending)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr);
        // trio-parallel 56: workers that leave say nothing.
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{ending}");
        assert_eq!(output.status.code(), Some(code), "{ending}: {text}");
        assert!(if says.is_empty() { text.is_empty() } else { text.contains(says) }, "{ending}: {text}");
    }
    ExitCode::SUCCESS
}
