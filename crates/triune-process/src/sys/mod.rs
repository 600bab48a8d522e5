//! What the operating system has to offer, behind one small set of functions.
//!
//! One file per system. Each offers the same names: the program to start again, a handle on a child that stays valid
//! when its number is reused, signals to it and to its group, its exit status, the signal dispositions and descriptors
//! of a fresh child, and the watch on a link whose other end may vanish.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "triune-process needs Linux 5.4 or later for now: other systems get a file beside sys/linux.rs"
);
