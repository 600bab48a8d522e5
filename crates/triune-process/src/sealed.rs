//! Bytes that are in memory once for any number of processes, and cannot change.
//!
//! Owns [`Sealed`]: a file without a name, sealed against every change and mapped for reading. Does not own how another
//! process gets hold of it: its descriptor is passed over some socket.

use std::ffi::CString;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::sys::{self, Mapping};

/// Bytes that are sealed: nobody can change them any more, neither this process nor another one that has them mapped.
///
/// ```
/// use triune_process::Sealed;
///
/// let here = Sealed::new("example", b"the same everywhere")?;
/// let there = Sealed::of(here.file().try_clone()?)?; // as another process does, with the descriptor that was passed to it
/// assert_eq!(there.bytes(), b"the same everywhere");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sealed {
    // Not needed by the mapping, but by whoever is to have it too.
    file: Arc<OwnedFd>,
    mapping: Mapping,
}

impl Sealed {
    /// Copies the bytes into sealed memory. The name shows in `/proc/PID/maps`; zero bytes in it are left out.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it.
    pub fn new(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let name = CString::new(name.replace('\0', "")).unwrap_or_default();
        let mut file = sys::sealable_file(&name)?;
        file.write_all(bytes)?;
        sys::seal(file.as_fd())?;
        Self::of(file.into())
    }

    /// Maps what another process has sealed.
    ///
    /// # Errors
    /// If it is not sealed against every change, or there is no room for it.
    pub fn of(file: OwnedFd) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(&file)?, file: Arc::new(file) })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }

    /// The file, for whoever passes it on.
    #[must_use]
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::Sealed;

    #[test]
    fn nobody_can_write_to_it_whatever_way_it_is_opened() {
        let sealed = Sealed::new("a\0name", b"as it is").expect("there is memory");
        let path = format!("/proc/self/fd/{}", sealed.file().as_raw_fd());
        let target = std::fs::read_link(&path).expect("there is /proc");
        assert_eq!(target.to_str(), Some("/memfd:aname (deleted)"));
        let writable = OpenOptions::new().write(true).open(&path);
        assert!(writable.is_err() || writable.is_ok_and(|mut file| file.write_all(b"other").is_err()));
        let passed = sealed.file().try_clone().expect("descriptors are left");
        assert!(File::from(passed).write_all(b"other").is_err());
        assert_eq!(sealed.bytes(), b"as it is");
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        let mut file = crate::sys::sealable_file(c"open").expect("there is memory");
        file.write_all(b"may change").expect("there is memory");
        let error = Sealed::of(file.into()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }

    #[test]
    fn nothing_is_a_value_too() {
        assert_eq!(Sealed::new("nothing", b"").expect("there is memory").bytes(), b"");
    }
}
