//! The kinds of store. A new one takes a file here, its `mod` line, and its line in the list below.

pub(super) mod directory;
pub(super) mod nova;

use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::error::StoreError;
use super::spec::{Given, SpecError, StoreOptions};

/// Generates [`StoreSpec`] from the list of kinds. The file of a kind has a type `Spec`, and functions `parse` and
/// `open`.
macro_rules! kinds {
    ($($(#[$doc:meta])* $word:literal $argument:literal => $kind:ident in $file:ident,)+) => {
        /// The store to open.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum StoreSpec {
            $($(#[$doc])* $kind($file::Spec),)+
        }

        impl StoreSpec {
            /// The notation for a store of each kind.
            const FORMS: &[&str] = &[$(concat!($word, $argument)),+];

            /// Parses the operator's settings for a store of this kind; `None` if there is no such kind.
            fn parse(kind: &str, given: &Given<'_>) -> Option<Result<Self, SpecError>> {
                match kind {
                    $($word => Some($file::parse(given).map(Self::$kind)),)+
                    _ => None,
                }
            }

            pub(super) fn open(&self, options: StoreOptions) -> Result<Box<dyn Backend>, StoreError> {
                Ok(match self {
                    $(Self::$kind(spec) => Box::new($file::open(spec, options)?),)+
                })
            }
        }
    };
}
kinds! {
    /// Objects become files of their own name in this directory.
    "directory" ":PATH" => Directory in directory,
    /// Images become files of Nova's cache.
    "nova" ":INSTANCES_PATH" => Nova in nova,
}

impl StoreSpec {
    /// Parses the operator's settings: a store (`directory:PATH`, `nova:INSTANCES_PATH`), Nova's configuration files,
    /// which can name the store as well, and the owner of the files there.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn new(store: Option<&str>, nova_conf: &[PathBuf], owner: Option<&str>) -> Result<Self, SpecError> {
        let given = |path| Given { path, nova_conf, owner };
        let Some(text) = store else {
            return match nova_conf {
                [] => Err(SpecError::Missing { forms: Self::FORMS }),
                _ => nova::parse(&given(None)).map(Self::Nova),
            };
        };
        let kind_and_path = text.split_once(':').filter(|(_, path)| !path.is_empty());
        kind_and_path
            .and_then(|(kind, path)| Self::parse(kind, &given(Some(Path::new(path)))))
            .unwrap_or_else(|| Err(SpecError::NotAStore { given: text.to_owned(), forms: Self::FORMS }))
    }

    /// Returns the directory that has the records of what is published; `None` if nothing can be.
    pub(super) fn home(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Nova(spec) => spec.home(),
        }
    }

    /// Returns the directory in which files have the names that senders give them, if the store is such a one.
    pub fn named_by_senders(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Nova(_) => None,
        }
    }
}
