//! Writes the seeds of the targets: what real processes send. `cargo xtask fuzz` runs it first.
//!
//! The target `mux` has none: its input is a list of steps in the engine's own form.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut seeds = triune_fuzz::decoders::seeds();
    let said = triune_fuzz::link::seed();
    seeds.push(("blocking", [&[1], &said[..]].concat()));
    seeds.push(("link", said));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (number, (target, seed)) in seeds.iter().enumerate() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}
