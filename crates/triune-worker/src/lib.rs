//! CPU-bound jobs in cached, killable worker processes
