//! Benchmarks of triune against its peers
