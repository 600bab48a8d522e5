//! Signals to this process: what the root does about those that ask for an end, and receivers for those that a program
//! wants to have itself.
//!
//! * `kind`: a signal's number and name, as data;
//! * `root`: the first one that asks for an end cancels the main task, the second one kills;
//! * `receiver`: what a program opens, reads and closes;
//! * `table`: who receives which signal, for the whole process.

mod kind;
mod receiver;
mod root;
mod table;

pub use kind::Signal;
pub use receiver::{SignalReceiver, SignalReceiverError, SignalRecvError, open_signal_receiver};
pub use root::signals;
