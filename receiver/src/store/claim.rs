//! The lock of a store: two receivers on one machine would clear up after each other. It is a lock (flock(2)) on a file
//! beside the records of the publications, which has the process id of its holder in it. Machines that share a store over a
//! network have a file each, named after the machine.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use nix::unistd::gethostname;

use super::anchor::Anchor;
use super::error::StoreError;
use super::name::Name;
use super::publications;

/// Takes the lock of the store in this directory. Whoever drops the file unlocks it.
///
/// # Errors
/// [`StoreError::InUse`] if another receiver has it, or the error of the file system.
pub(super) fn take(store: &Path) -> Result<File, StoreError> {
    let at = |what| move |error| StoreError::Io { what, path: store.to_owned(), error };
    let machine = gethostname().map_err(|error| at("name the lock of")(error.into()))?;
    let name = Name::new(format!("{}.lock", machine.to_string_lossy())).map_err(at("name the lock of"))?;
    let anchor = Anchor::open(store, Vec::new()).map_err(at("open the directory"))?;
    let (file, mut content) = publications::lock_file(anchor, &name)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder);
            let holder = holder.trim().parse().ok();
            return Err(StoreError::InUse {
                path: store.join(publications::DIRECTORY).join(name.as_str()),
                holder,
            });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(at("lock (flock)")(error)),
    }
    // The process id is for people: without it the lock holds as well.
    let _ = write_holder(&mut content);
    Ok(file)
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Longer than any process id.
const HOLDER_BYTES_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_receiver_learns_who_is_the_first_and_gets_the_lock_after_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let first = take(dir.path()).expect("nobody has it");
        let error = take(dir.path()).expect_err("the first has it");
        let text = error.to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains(".glancecast/") && text.contains("a store of its own"), "{text}");
        drop(first);
        take(dir.path()).expect("it is free again");
    }
}
