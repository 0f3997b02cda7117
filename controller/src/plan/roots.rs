//! Known roots: what Glance's hash has proved once is remembered as the BLAKE3 root of the same bytes, so that later pushes of
//! the image need not compute that hash again. A root is used only while the image's whole record is the same.

use std::collections::BTreeMap;

use glancecast_proto::integrity::Root;

use super::catalog::Record;
use crate::policy::ImageId;
use crate::policy::limits::KNOWN_ROOTS_MAX;

/// Roots by the records that they were proved for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownRoots(BTreeMap<ImageId, (Record, Root)>);

impl KnownRoots {
    /// Remembers the root of a push that has compared the bytes with the record. Of an image with a new record the old root is
    /// forgotten. When there are too many images, further ones are not remembered.
    pub fn learn(&mut self, image: ImageId, record: Record, root: Root) {
        if self.0.len() < KNOWN_ROOTS_MAX || self.0.contains_key(&image) {
            self.0.insert(image, (record, root));
        }
    }

    /// Returns the root of an image, if it was proved for this very record.
    pub fn of(&self, image: &ImageId, record: &Record) -> Option<Root> {
        self.0.get(image).filter(|(known, _)| known == record).map(|(_, root)| *root)
    }

    /// Forgets images that are gone.
    pub fn retain(&mut self, is_there: impl Fn(&ImageId) -> bool) {
        self.0.retain(|image, _| is_there(image));
    }

    /// Returns all that is known.
    pub fn iter(&self) -> impl Iterator<Item = (&ImageId, &Record, Root)> {
        self.0.iter().map(|(image, (record, root))| (image, record, *root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_used_only_while_all_of_the_record_is_unchanged() {
        let image = ImageId::new("00000000-0000-4000-8000-000000000001").expect("an id");
        let other = ImageId::new("00000000-0000-4000-8000-000000000002").expect("an id");
        let record = Record { algorithm: "sha512".into(), hash: "ab".into(), size: 10 };
        let mut roots = KnownRoots::default();
        roots.learn(image.clone(), record.clone(), Root([1; 32]));
        assert_eq!(roots.of(&image, &record), Some(Root([1; 32])));
        assert_eq!(roots.of(&other, &record), None, "another image of the same bytes");
        for changed in [
            Record { algorithm: "sha256".into(), ..record.clone() },
            Record { hash: "ac".into(), ..record.clone() },
            Record { size: 11, ..record.clone() },
        ] {
            assert_eq!(roots.of(&image, &changed), None, "{changed:?}");
        }
        let changed = Record { hash: "ac".into(), ..record.clone() };
        roots.learn(image.clone(), changed.clone(), Root([2; 32]));
        assert_eq!((roots.of(&image, &record), roots.of(&image, &changed)), (None, Some(Root([2; 32]))));
    }

    #[test]
    fn roots_are_bounded_and_make_room_when_images_go() {
        let id = |n: usize| ImageId::new(&format!("00000000-0000-4000-8000-{n:012x}")).expect("an id");
        let record = Record { algorithm: "sha512".into(), hash: "ab".into(), size: 10 };
        let mut roots = KnownRoots::default();
        (0..=KNOWN_ROOTS_MAX).for_each(|n| roots.learn(id(n), record.clone(), Root([1; 32])));
        assert_eq!((roots.iter().count(), roots.of(&id(KNOWN_ROOTS_MAX), &record)), (KNOWN_ROOTS_MAX, None));
        roots.retain(|image| *image != id(0));
        roots.learn(id(KNOWN_ROOTS_MAX), record.clone(), Root([1; 32]));
        assert!(roots.of(&id(KNOWN_ROOTS_MAX), &record).is_some());
    }
}
