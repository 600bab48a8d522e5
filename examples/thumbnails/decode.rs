//! The job: one picture, from file to file.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use image::{ImageFormat, ImageReader};

/// Writes a thumbnail of at most `size` times `size` pixels. The limits of the worker are the only ones: a decoder that is
/// told to be careful protects from what its author has thought of.
#[triune::job]
pub(crate) fn thumbnail(source: PathBuf, target: PathBuf, size: u32) -> Result<(), image::ImageError> {
    let mut reader = ImageReader::open(source)?.with_guessed_format()?;
    reader.no_limits();
    let thumbnail = reader.decode()?.thumbnail(size, size);
    thumbnail.write_to(&mut BufWriter::new(File::create(target)?), ImageFormat::Png)
}
