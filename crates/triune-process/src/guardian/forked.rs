//! Children that a fork server has made: the guardian is their parent already, and takes them in.
//!
//! Such a child has run nothing of the program yet. It waits at its gate until it is told its mark and given a way to make requests, and ends if the gate is
//! closed instead. Until then it counts as something that its fork server has left: see `sweep`.

use std::os::fd::{AsFd, OwnedFd};

use super::message::{ADMISSION_DESCRIPTORS, Admission, Answer};
use super::serve::Guardian;
use super::ward::Ward;
use crate::{sys, tree};

impl Guardian {
    /// Takes a child in, and tells its owner; or tells it why not.
    pub(super) fn admit_forked(&mut self, admission: &Admission, fds: Vec<OwnedFd>) {
        // Whoever sends something else gets no answer but the end of its channel.
        let Ok([channel, handle, gate]) = <[OwnedFd; ADMISSION_DESCRIPTORS]>::try_from(fds) else { return };
        let listed = match self.judge(admission, &handle) {
            Ok(listed) => listed,
            Err(answer) => return refuse(&channel, &answer),
        };
        let (requests, theirs) = match sys::request_pair() {
            Ok(pair) => pair,
            Err(error) => return refuse(&channel, &Answer::failed(&error)),
        };
        let mark = tree::random();
        let Admission { owner, pid, grace } = *admission;
        let ward = Ward::new(pid, listed, owner, grace, channel);
        ward.tell(&Answer::Started { pid: listed }, &[handle.as_fd()]);
        self.wards.insert(mark, ward.with_requests(requests));
        // If it has died at the gate, that is its end as any other.
        let _ended = sys::send_message(gate.as_fd(), &mark.to_le_bytes(), &[theirs.as_fd()]);
    }

    /// The number of the child in `/proc`, if it is one of ours and there is still somebody whom it is for.
    fn judge(&self, admission: &Admission, handle: &OwnedFd) -> Result<u32, Answer> {
        if !self.starts_for(admission.owner) {
            return Err(Answer::Failed { errno: libc::ESHUTDOWN, text: String::new() });
        }
        // One that was killed on its way here was reaped as a stray, and its number may be that of another child by now;
        // the handle is not fooled.
        let is_ours = sys::has_ended(handle.as_fd()).is_ok();
        let listed = sys::number_of_handle(handle.as_fd()).filter(|_| is_ours);
        match listed.filter(|listed| self.depth > 1 || *listed == admission.pid) {
            Some(listed) => Ok(listed),
            None => {
                let text = "the child of the fork server was killed before it was taken in".to_owned();
                Err(Answer::Failed { errno: 0, text })
            }
        }
    }
}

fn refuse(channel: &OwnedFd, answer: &Answer) {
    // If it is gone, nobody waits for the answer.
    let _owner_gone = sys::send_message(channel.as_fd(), &answer.encode(), &[]);
}
