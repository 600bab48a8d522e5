//! Linux: pidfd, `waitid`, subreaper, `/proc`, pid namespaces.
//!
//! Owns all of the crate's `unsafe`: the calls of the C library that rustix does not offer, and the registration of a
//! descriptor with tokio. Holds no state.
//!
//! | what | needs |
//! |---|---|
//! | everything | Linux 5.4 (`waitid` on a pidfd) |
//! | sealing what a library forgot to mark | 5.11 (`close_range`); without it, only our own descriptors are marked |
//! | SIGTERM to the group of a child whose life is bound to its owner | 6.9 (`PIDFD_SIGNAL_PROCESS_GROUP`); without it, to the child alone |
//! | the status of a child whose guardian was killed | 6.15 (`PIDFD_GET_INFO`); without it, the status is unknown |
//! | sweeping strays without reading the whole of `/proc` | `CONFIG_PROC_CHILDREN` |
//! | telling a kill for want of memory from another one | a control group with the memory controller, of either version |
//! | the fork server | `CONFIG_CHECKPOINT_RESTORE`, which all distributions have; x86-64, ARM64 or RISC-V |
//! | the level `Hard` | `CAP_SYS_ADMIN`, or user namespaces for everybody |

mod descriptor;
mod fork;
mod lifeline;
mod limits;
mod mapping;
mod memory;
mod namespace;
mod process;
mod program;
mod sandbox;
mod signal;
mod table;

pub(crate) use descriptor::*;
pub(crate) use fork::*;
pub(crate) use lifeline::*;
pub(crate) use limits::*;
pub(crate) use mapping::*;
pub(crate) use memory::*;
pub(crate) use namespace::*;
pub(crate) use process::*;
pub(crate) use program::*;
pub(crate) use sandbox::*;
pub(crate) use signal::*;
pub(crate) use table::*;
