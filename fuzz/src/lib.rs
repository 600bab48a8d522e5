//! What the fuzz targets do with their input; each target only hands it over.
//!
//! In a library, so that the generator of the seeds shares the scripts with the targets.
//!
//! Invariants that all of them hold the code to:
//! 1. No panic, whatever comes.
//! 2. Memory is bounded by the limits of the side that is fed; the engine's limit on one allocation sees to that.
//! 3. A link ends, and every wait on it with it.

pub mod codec;
pub mod decoders;
pub mod link;
pub mod mux;
