//! A picture of the Mandelbrot set, computed band by band in worker processes.
//!
//! ```text
//! cargo run --release --example mandelbrot -- mandelbrot.png --width=1920 --height=1080
//! cargo run --release --example mandelbrot -- seahorse.png --center=-0.7436,0.1318 --span=0.002 --iterations=3000
//! ```
//!
//! Watch: `top` shows one worker for each core; press Ctrl-C in the middle, and nothing is left, no half picture either.
#![expect(clippy::print_stdout, reason = "it tells where the picture is")]

mod options;
mod plane;

use std::process::ExitCode;

use image::{ImageFormat, RgbImage};
use indicatif::{ProgressBar, ProgressStyle};
use triune::prelude::*;
use triune::worker;

use options::{Asked, Options};
use plane::Plane;

/// How many rows are one job: enough to be worth the way, few enough that no core waits for another at the end.
const BAND: u32 = 8;

#[triune::main]
async fn main() -> Result<ExitCode> {
    let options = match options::parse()? {
        Asked::Run(options) => options,
        Asked::Help => {
            println!("{}", options::HELP);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let Options { path, plane } = options;
    let picture = draw(plane).await?;
    picture
        .save_with_format(&path, ImageFormat::Png)
        .with_context(|| format!("cannot write the picture to {}", path.display()))?;
    println!("{}: {} x {} pixels", path.display(), plane.width, plane.height);
    Ok(ExitCode::SUCCESS)
}

/// Computes all bands, in parallel, and puts them together.
async fn draw(plane: Plane) -> Result<RgbImage> {
    let bar = bar(plane.height);
    let mut pixels = Vec::with_capacity(plane.bytes());
    let rows = (0..plane.height).step_by(BAND as usize).map(|first| first..(first + BAND).min(plane.height));
    // In the order of the picture. A few bands are ahead of the one that is waited for.
    let mut bands = worker::map(rows.map(|rows| plane::band::with(plane, rows)));
    while let Some(band) = bands.next().await {
        let band = band?;
        bar.inc(band.len() as u64 / plane.row_bytes());
        pixels.extend_from_slice(&band);
    }
    bar.finish_and_clear();
    RgbImage::from_raw(plane.width, plane.height, pixels).context("the bands are not the whole picture")
}

fn bar(rows: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} rows, {eta} left")
        .expect("the template is a constant");
    ProgressBar::new(rows.into()).with_style(style)
}
