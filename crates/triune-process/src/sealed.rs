//! Bytes that are in memory once for any number of processes, and cannot change.
//!
//! Owns [`Sealed`]: a file without a name, sealed against every change and mapped for reading. Does not own how another
//! process gets hold of it: a descriptor of it can be passed, or opened anew through `/proc`.

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use crate::sys::{self, Mapping};

/// Bytes that are sealed: nobody can change them any more, neither this process nor another one that has them mapped.
///
/// ```
/// use triune_process::Sealed;
///
/// let here = Sealed::new("example", b"the same everywhere")?;
/// let there = Sealed::open(&here.path_of_descriptor())?; // as another process does
/// assert_eq!(there.bytes(), b"the same everywhere");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sealed {
    // Not needed by the mapping, but by whoever opens it through `/proc`.
    file: OwnedFd,
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

    /// Opens what another process has sealed, by a path such as `/proc/PID/fd/NUMBER`.
    ///
    /// # Errors
    /// If it cannot be opened, or is not sealed against every change.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?.into())
    }

    fn of(file: OwnedFd) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(&file)?, file })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }

    /// Where a process of the same user finds it, as long as this value lives.
    #[must_use]
    pub fn path_of_descriptor(&self) -> std::path::PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// The name that it was given, as the system knows it.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn name(&self) -> io::Result<String> {
        let target = std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        let target = target.to_string_lossy();
        let name = target.strip_prefix("/memfd:").unwrap_or(&target);
        Ok(name.strip_suffix(" (deleted)").unwrap_or(name).to_owned())
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Sealed;

    #[test]
    fn nobody_can_write_to_it_whatever_way_it_is_opened() {
        let sealed = Sealed::new("a\0name", b"as it is").expect("there is memory");
        assert_eq!(sealed.name().expect("there is /proc"), "aname");
        let path = sealed.path_of_descriptor();
        let writable = std::fs::OpenOptions::new().write(true).open(&path);
        assert!(writable.is_err() || writable.is_ok_and(|mut file| file.write_all(b"other").is_err()));
        assert_eq!(sealed.bytes(), b"as it is");
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        let file = tempfile_with(b"may change");
        let error = Sealed::open(std::path::Path::new(&format!("/proc/self/fd/{}", raw(&file)))).unwrap_err();
        assert!(matches!(
            error.kind(),
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::PermissionDenied
        ));
    }

    #[test]
    fn nothing_is_a_value_too() {
        assert_eq!(Sealed::new("nothing", b"").expect("there is memory").bytes(), b"");
    }

    fn tempfile_with(bytes: &[u8]) -> std::fs::File {
        let mut file = crate::sys::sealable_file(c"open").expect("there is memory");
        file.write_all(bytes).expect("there is memory");
        file
    }

    fn raw(file: &std::fs::File) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(file)
    }
}
