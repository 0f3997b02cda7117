//! The operator's settings of a store: which one, and how much room it may take.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::min_free::MinFree;

/// The operator's settings, unparsed.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// The part after the kind and a colon.
    pub(super) path: Option<&'a Path>,
    /// Nova's configuration files, which name the store as well.
    pub(super) nova_conf: &'a [PathBuf],
    /// The owner of the files.
    pub(super) owner: Option<&'a str>,
}

/// The settings name no store.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Nothing was given.
    #[error("no store: give --store {}, or Nova's own files with --nova-conf", forms.join(", --store "))]
    Missing {
        /// The notation for each kind of store.
        forms: &'static [&'static str],
    },
    /// No kind of store has this notation.
    #[error("{given:?} is not a store: write {}", forms.join(" or "))]
    NotAStore {
        /// The given text.
        given: String,
        /// The notation for each kind of store.
        forms: &'static [&'static str],
    },
    /// The error of the kind of store.
    #[error(transparent)]
    OfKind(Box<dyn Error + Send + Sync>),
}

impl SpecError {
    pub(super) fn of_kind(why: impl Error + Send + Sync + 'static) -> Self {
        Self::OfKind(Box::new(why))
    }
}

/// How much room a store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// How long unfinished files are kept.
    pub keep_unfinished: KeepUnfinished,
    /// The room that stays free.
    pub min_free: MinFree,
}

impl StoreOptions {
    /// The options if nothing is set.
    pub const DEFAULT: Self = Self { keep_unfinished: KeepUnfinished::DEFAULT, min_free: MinFree::DEFAULT };
}

/// How long unfinished files are kept for later sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepUnfinished {
    /// Time since the last write after which a file is removed; zero: nothing is kept.
    pub time: Duration,
}

impl KeepUnfinished {
    /// One day.
    pub const DEFAULT: Self = Self { time: Duration::from_secs(24 * 60 * 60) };
}
