//! The walk through the directory: a task that finds files and reports what it cannot enter.

use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::sync::mpsc;
use triune::prelude::*;

use crate::ledger::Entry;
use crate::read::Desk;
use crate::view::View;

/// Folders that hold no text of the user's own.
const SKIPPED_FOLDERS: [&str; 2] = [".git", "target"];

/// Refuses a path that cannot be counted, before anything starts.
pub(crate) fn check(path: &Path) -> Result {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() || found.is_file() => Ok(()),
        Ok(_) => Err(Error::msg(format!("`{}` is neither a directory nor a file", path.display()))),
        Err(error) => Err(Error::new(error)
            .context(format!("cannot take a census of `{}`: give a directory that exists", path.display()))),
    }
}

/// Sends every file beneath `root`; symbolic links are not followed.
pub(crate) async fn walk(root: PathBuf, found: mpsc::Sender<PathBuf>, view: &View, desk: &Desk) -> Result {
    let mut folders = vec![root.clone()];
    if fs::metadata(&root).cancellable().await?.is_ok_and(|root| root.is_file()) {
        view.found(1);
        folders.clear();
        // Nobody to read means that the census ends anyway.
        let _ended = found.send(root).cancellable().await?;
    }
    while let Some(folder) = folders.pop() {
        if let Err(error) = enter(&folder, &mut folders, &found, view).cancellable().await? {
            desk.tell(Entry::skipped(&folder, format!("cannot read the folder: {error}"))).await?;
        }
    }
    Ok(())
}

async fn enter(
    folder: &Path,
    folders: &mut Vec<PathBuf>,
    found: &mpsc::Sender<PathBuf>,
    view: &View,
) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let kind = entry.file_type().await?;
        if kind.is_dir() && !SKIPPED_FOLDERS.iter().any(|skipped| entry.file_name() == *skipped) {
            folders.push(entry.path());
        } else if kind.is_file() {
            view.found(1);
            if found.send(entry.path()).await.is_err() {
                break;
            }
        }
    }
    Ok(())
}
