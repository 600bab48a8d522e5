//! Thumbnails of a folder of pictures that nobody has looked at: some are cut off, one may be a bomb.
//!
//! A decoder runs on data of strangers, so each picture is a job in a worker with little memory, little time, no network,
//! and nothing within reach but the two folders. What a picture does to its decoder costs one worker and one line.
//!
//! ```text
//! cargo run --release --example thumbnails -- PICTURES THUMBNAILS [--size=N] [--memory=MIB] [--seconds=N]
//! ```
//!
//! Watch: put a truncated file and a picture of 50 000 x 50 000 pixels into the folder; all others get their thumbnail.
//! Exit code 0 if every picture has one, 1 if some have not.
#![expect(clippy::print_stdout, reason = "the report is what the program is for")]

mod decode;
mod folder;
mod options;

use std::error::Error as _;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use triune::prelude::*;
use triune::worker::{self, Enforce, Limits, Pool, RunError, Workers};

use folder::Picture;
use options::{Asked, Options};

#[triune::main]
async fn main() -> Result<ExitCode> {
    let options = match options::parse()? {
        Asked::Run(options) => options,
        Asked::Help => {
            println!("{}", options::HELP);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let pictures = folder::pictures(&options)?;
    if pictures.is_empty() {
        println!("no pictures (png, jpg, jpeg) in {}", options.pictures.display());
        return Ok(ExitCode::SUCCESS);
    }
    // What the sandbox needs is a matter of the kernel; memory and time hold on any.
    let limits = Limits::new()
        .cpu_time(options.time)
        .core_size(0)
        .open_files(64)
        .read_only(&options.pictures)
        .read_write(&options.thumbnails)
        .no_network()
        .no_programs()
        .enforce(Enforce::BestEffort);
    let workers = Workers::new().memory_max(options.memory).limits(limits);
    let bar = bar(pictures.len());
    let refused =
        worker::scope(workers, async |pool| thumbnails(&pool, &pictures, &options, &bar).await).await;
    bar.finish_and_clear();
    let refused = refused?;
    for (name, why) in &refused {
        println!("refused {name}: {why}");
    }
    println!("{} thumbnails in {}", pictures.len() - refused.len(), options.thumbnails.display());
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes all thumbnails, and gives back the pictures that have none, with the reason.
async fn thumbnails(
    pool: &Pool,
    pictures: &[Picture],
    options: &Options,
    bar: &ProgressBar,
) -> Result<Vec<(String, String)>> {
    nursery(async |n| {
        let jobs: Vec<_> = pictures
            .iter()
            .map(|picture| {
                n.spawn(async move {
                    let Picture { source, part, target, .. } = picture;
                    let job = decode::thumbnail::with(source.clone(), part.clone(), options.size);
                    let outcome = pool.run(job).await;
                    bar.inc(1);
                    match outcome {
                        Ok(()) => std::fs::rename(part, target).map(|()| None).map_err(Error::new),
                        Err(error) if error.is_cancelled() => Err(error.into()),
                        Err(error) => {
                            // Its worker may have died in the middle of it, or before it.
                            let _absent = std::fs::remove_file(part);
                            Ok(Some((picture.name.clone(), reason(&error))))
                        }
                    }
                })
            })
            .collect();
        let mut refused = Vec::new();
        for job in jobs {
            refused.extend(job.await?);
        }
        Ok(refused)
    })
    .await
}

/// One line for a person who wants to know about the picture, not about the job.
fn reason(error: &RunError) -> String {
    match (error, error.death_cause()) {
        (RunError::App { failure, .. }, _) => failure.to_string(),
        (RunError::Panic { failure, .. }, _) => format!("the decoder panicked: {failure}"),
        (_, Some(cause)) => format!("the decoder died: {cause}"),
        _ => error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

fn bar(pictures: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} pictures")
        .expect("the template is a constant");
    ProgressBar::new(pictures as u64).with_style(style)
}
