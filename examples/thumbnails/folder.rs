//! The two folders: what is to be read, and where it goes.

use std::path::PathBuf;

use triune::prelude::*;

use crate::options::Options;

/// One picture that wants a thumbnail.
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    /// Where the thumbnail is written.
    pub(crate) part: PathBuf,
    /// What that becomes when it is complete.
    pub(crate) target: PathBuf,
}

/// Lists the pictures of the one folder by name, and makes the other.
pub(crate) fn pictures(options: &Options) -> Result<Vec<Picture>> {
    let Options { pictures, thumbnails, .. } = options;
    let entries = std::fs::read_dir(pictures)
        .with_context(|| format!("cannot read the folder of pictures, {}", pictures.display()))?;
    std::fs::create_dir_all(thumbnails)
        .with_context(|| format!("cannot make the folder of thumbnails, {}", thumbnails.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let source = entry?.path();
        let extension = source.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if !matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) || !source.is_file() {
            continue;
        }
        let Some(name) = source.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let target = thumbnails.join(format!("{name}.png"));
        found.push(Picture { part: thumbnails.join(format!("{name}.part")), name, source, target });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
