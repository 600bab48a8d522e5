//! A list of the mails in a folder, read by Python: the worker is another program, in another language, with the library that one wants.
//!
//! The jobs are called by name, and a file that is no mail costs one line. Python needs `msgpack`; without it, or without Python, the
//! error says so.
//!
//! ```text
//! cargo run --example mails -- FOLDER
//! ```
#![expect(clippy::print_stdout, reason = "the list is what the program is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;
use triune::prelude::*;
use triune::worker::{self, Job, Program, RunError, WorkerKind, Workers};

/// What the worker says of a mail.
#[derive(Debug, Deserialize)]
struct Summary {
    day: String,
    sender: String,
    subject: String,
    attachments: Vec<String>,
}

/// The script, and the module by which it speaks the protocol.
fn python() -> Program {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Program::new("python3")
        .arg(sources.join("examples/mails/worker.py"))
        .env("PYTHONPATH", sources.join("crates/triune-ipc/tests/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
}

fn mails(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    Ok(paths)
}

#[triune::main]
async fn main() -> Result<ExitCode> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        println!("mails: lists the mails of a folder (*.eml)\n\nusage: mails FOLDER");
        return Ok(ExitCode::FAILURE);
    };
    let paths = mails(&folder).context("cannot list the folder")?;
    let workers = Workers::new().kind(WorkerKind::Program(python())).memory_max(1 << 30);
    let failed = worker::scope(workers, async |pool| {
        let mut summaries =
            pool.map(paths.iter().map(|path| Job::<Summary>::named("summary", (path.clone(),))));
        let mut failed = 0;
        for path in &paths {
            let name = path.file_name().unwrap_or_default().display();
            match summaries.next().await.expect("each mail has a result") {
                Ok(Summary { day, sender, subject, attachments }) => {
                    println!("{name}: {day} {sender}: {subject} {attachments:?}");
                }
                // There will be no other worker either.
                Err(error @ RunError::Start { .. }) => return Err(error.into()),
                Err(error) => {
                    failed += 1;
                    println!("{name}: {error}");
                }
            }
        }
        Ok(failed)
    })
    .await?;
    println!("{} mails, {failed} failed", paths.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
