//! What a file was proven to be, and when: kept with the file as an extended attribute (xattr(7)), so that it comes and
//! goes with it and no second file can be lost or left over. Where a file system has none, nothing is kept.

use std::fs::File;
use std::path::Path;

use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::is_image_id;
use rustix::fs::{XattrFlags, fsetxattr, lgetxattr};
use rustix::io::Errno;

/// What is known of a published file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What its bytes were proven to hash to.
    pub root: Root,
    /// When they last were.
    pub proven: WallClock,
    /// Glance's id, where it came from Glance.
    pub image_id: Option<String>,
}

impl Record {
    /// Keeps it with a file, in place of an earlier one. That it cannot be kept is no failure: the file is what it is.
    pub(super) fn keep(&self, file: &File) {
        let kept = fsetxattr(file, NAME, self.to_text().as_bytes(), XattrFlags::empty());
        match kept {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => tracing::debug!(%error, "cannot keep what a file was proven to be"),
        }
    }

    /// What is kept with a file; `None` if nothing is, or it makes no sense.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let mut bytes = [0; BYTES_MAX];
        let len = lgetxattr(path, NAME, &mut bytes[..]).ok()?;
        Self::from_text(std::str::from_utf8(bytes.get(..len)?).ok()?)
    }

    fn to_text(&self) -> String {
        let id = self.image_id.as_deref().unwrap_or("-");
        format!("1 {} {} {id}", self.root, self.proven.0)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        if fields.next() != Some("1") {
            return None;
        }
        let root = *blake3::Hash::from_hex(fields.next()?).ok()?.as_bytes();
        let proven = WallClock(fields.next()?.parse().ok()?);
        let image_id = match fields.next()? {
            "-" => None,
            id if is_image_id(id) => Some(id.to_owned()),
            _ => return None,
        };
        fields.next().is_none().then_some(Self { root: Root(root), proven, image_id })
    }
}

/// In the namespace that needs no privilege: who may write the file may write it.
const NAME: &str = "user.glancecast";

/// Version, root, milliseconds, id.
const BYTES_MAX: usize = 2 + 65 + 21 + 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_makes_no_sense_is_nothing() {
        for image_id in [None, Some("0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11".to_owned())] {
            let record = Record { root: Root([0xAB; 32]), proven: WallClock(u64::MAX), image_id };
            assert!(record.to_text().len() <= BYTES_MAX);
            assert_eq!(Record::from_text(&record.to_text()), Some(record));
        }
        for bad in [
            "",
            "1",
            "2 x",
            "1 ab 1 -",
            &format!("1 {} x -", Root([1; 32])),
            &format!("1 {} 1 - -", Root([1; 32])),
        ] {
            assert_eq!(Record::from_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_file_without_a_record_has_none() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("image");
        let file = File::create(&path).expect("writable");
        assert_eq!(Record::of(&path), None);
        let record = Record { root: Root([7; 32]), proven: WallClock(5), image_id: None };
        record.keep(&file);
        // Not every file system that tests run on keeps attributes.
        assert!(Record::of(&path).is_none_or(|kept| kept == record));
        assert_eq!(Record::of(&dir.path().join("missing")), None);
    }
}
