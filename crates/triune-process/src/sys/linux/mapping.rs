//! Memory that several processes see: a sealed file without a name, mapped for reading, which none can change; and a page that all can
//! write to.

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// All that keeps the bytes as they are, for everybody and for ever.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// A new file without a name that can be sealed.
pub(crate) fn sealable_file(name: &CStr) -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?))
}

/// Forbids every change of the file. Fails if somebody has it mapped for writing.
pub(crate) fn seal(file: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, SEALS)?)
}

/// A sealed file, mapped for reading. The bytes never change, nor does their number.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// `None` if there is not one byte: the system maps no empty range.
    start: Option<NonNull<c_void>>,
    len: usize,
}

// SAFETY: the bytes are only read, and nobody can write them, so any thread may do so at any time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a file that is sealed against every change. Any other file is refused: its bytes could change beneath us.
    pub(crate) fn new(file: &OwnedFd) -> io::Result<Self> {
        if !rustix::fs::fcntl_get_seals(file)?.contains(SEALS) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is not sealed"));
        }
        let len = usize::try_from(rustix::fs::fstat(file)?.st_size)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if len == 0 {
            return Ok(Self { start: None, len });
        }
        // SAFETY: a new range that nothing else refers to, at a place that the system chooses.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file.as_fd(), 0)
        }?;
        Ok(Self { start: NonNull::new(start), len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self.start {
            // SAFETY: the range is mapped until `self` is dropped, has `len` bytes (the file cannot shrink), and the seals
            // keep everybody from writing to it.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<u8>(), self.len) },
            None => &[],
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            // SAFETY: the range was mapped by `new` with this length, and every borrow of it has ended.
            let unmapped = unsafe { rustix::mm::munmap(start.as_ptr(), self.len) };
            debug_assert!(unmapped.is_ok(), "a range of ours can be unmapped");
        }
    }
}

/// What keeps the pages of a file where they are, whoever writes to them.
const KEEPS: SealFlags = SealFlags::GROW.union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// The size of a [`Page`], in bytes.
const PAGE: usize = 4096;

/// A new file without a name, of one page that anybody who has it may write to.
pub(crate) fn page_file(name: &CStr) -> io::Result<OwnedFd> {
    let file = sealable_file(name)?;
    file.set_len(PAGE as u64)?;
    rustix::fs::fcntl_add_seals(&file, KEEPS)?;
    Ok(file.into())
}

/// A page that other processes may see and write, too.
#[derive(Debug)]
pub(crate) struct Page(NonNull<c_void>);

// SAFETY: the words are only accessed as atomics, which any thread may do at any time.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// Maps a file of [`page_file`]. Any other is refused: it could shrink beneath us.
    pub(crate) fn new(file: &OwnedFd) -> io::Result<Self> {
        let is_kept = rustix::fs::fcntl_get_seals(file)?.contains(KEEPS);
        if !is_kept || rustix::fs::fstat(file)?.st_size != PAGE as i64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file is no page that stays as it is",
            ));
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new range that nothing else refers to, at a place that the system chooses.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), PAGE, access, MapFlags::SHARED, file.as_fd(), 0)
        }?;
        Ok(Self(NonNull::new(start).expect("the system maps nothing at zero unless it is asked to")))
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the range is mapped until `self` is dropped, has the size of a page (the file cannot shrink) and begins at one, so it
        // is aligned; every bit pattern is a number; and whoever else has the page writes to it by atomics, or is another process, whose
        // writes are to us as those of an atomic.
        unsafe {
            std::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), PAGE / size_of::<AtomicU64>())
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` with this length, and every borrow of it has ended.
        let unmapped = unsafe { rustix::mm::munmap(self.0.as_ptr(), PAGE) };
        debug_assert!(unmapped.is_ok(), "a range of ours can be unmapped");
    }
}
