//! The main job: a census of the words under a directory, with one nursery and three kinds of child.
//!
//! *Tasks* walk the directory and read its files, *worker jobs* count the words of each piece of text and compress
//! it, an *actor* keeps the ledger and streams running totals back, which drive the progress bar.
//!
//! ```text
//! cargo run --release --example census -- [PATH] [--kill[=worker|actor]]
//! ```
//!
//! Watch: `ps -ef --forest` while it runs; press Ctrl-C (exit code 130, nothing left); `kill -9` any of its
//! processes, or let `--kill` do it: the report names the process, and nothing is left either.

mod count;
mod ledger;
mod options;
mod read;
mod shot;
mod view;
mod walk;

use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore, mpsc};
use triune::prelude::*;

use ledger::{Entry, Summary, Totals, keep_ledger};
use options::{Asked, Options};
use read::Desk;
use shot::Shot;
use view::View;

/// How many pieces of text are in memory, for each worker that counts.
const PIECES_PER_WORKER: usize = 2;

/// How many files are open at a time.
const OPEN_FILES: usize = 16;

/// How many paths the walk may be ahead of the readers.
const PATHS_AHEAD: usize = 256;

#[triune::main]
async fn main() -> Result<ExitCode> {
    let options = match options::parse()? {
        Asked::Run(options) => options,
        Asked::Help => {
            view::help();
            return Ok(ExitCode::SUCCESS);
        }
    };
    walk::check(&options.path)?;
    let view = View::new();
    let summary = nursery(async |n| {
        let actor = n.actor("ledger").start().await?;
        let shot = Shot::new(options.kill, actor.pid());
        let ((), summary) = actor
            .context(keep_ledger::with(), async |(), dialog| census(&options, &view, shot, dialog).await)
            .await?;
        Ok(summary)
    })
    .await;
    view.close();
    let summary: Summary = summary?;
    view::table(&options.path, &summary, view.elapsed());
    Ok(ExitCode::SUCCESS)
}

/// Walks, reads and counts; every piece of news goes to the ledger.
async fn census(options: &Options, view: &View, shot: Shot, dialog: Dialog<Entry, Totals>) -> Result {
    let (news, mut totals) = dialog.split();
    let places = Semaphore::new(PIECES_PER_WORKER * triune::worker::statistics().limit);
    let desk = Desk { news: Mutex::new(news), shot, places };
    let open_files = Arc::new(Semaphore::new(OPEN_FILES));
    let (found, mut paths) = mpsc::channel(PATHS_AHEAD);
    nursery(async |n| {
        n.daemon(async {
            while let Some(running) = totals.recv().await? {
                view.show(&running);
            }
            Ok(())
        });
        n.spawn_named("walk", walk::walk(options.path.clone(), found, view, &desk));
        while let Some(path) = paths.recv().cancellable().await? {
            let open = Arc::clone(&open_files).acquire_owned().cancellable().await??;
            let desk = &desk;
            n.spawn_named(format!("read {}", path.display()), async move {
                let _open = open;
                read::read(&path, desk).await
            });
        }
        Ok(())
    })
    .await?;
    let Desk { news, shot, .. } = desk;
    shot.must_have_hit()?;
    news.into_inner().close();
    Ok(())
}
