//! What the operator says of a store: which, and how much room it takes.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::min_free::MinFree;

/// What the operator gave.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// After the kind and a colon.
    pub(super) path: Option<&'a Path>,
    /// Nova's configuration files, which name the store too.
    pub(super) nova_conf: &'a [PathBuf],
    /// To whom files are given.
    pub(super) owner: Option<&'a str>,
}

/// What was given is no store.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Nothing was.
    #[error("no store: give --store {}, or Nova's own files with --nova-conf", forms.join(", --store "))]
    Missing {
        /// How stores are written.
        forms: &'static [&'static str],
    },
    /// No kind of store is written so.
    #[error("{given:?} is not a store: write {}", forms.join(" or "))]
    NotAStore {
        /// The text.
        given: String,
        /// How stores are written.
        forms: &'static [&'static str],
    },
    /// The kind has said why.
    #[error(transparent)]
    OfKind(Box<dyn Error + Send + Sync>),
}

impl SpecError {
    pub(super) fn of_kind(why: impl Error + Send + Sync + 'static) -> Self {
        Self::OfKind(Box::new(why))
    }
}

/// How much room a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// How long unfinished files are kept.
    pub keep_unfinished: KeepUnfinished,
    /// What stays free.
    pub min_free: MinFree,
}

impl StoreOptions {
    /// What holds where nothing is set.
    pub const DEFAULT: Self = Self { keep_unfinished: KeepUnfinished::DEFAULT, min_free: MinFree::DEFAULT };
}

/// How much of the unfinished is kept for sessions to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepUnfinished {
    /// Time since the last write after which it is removed; zero: nothing is kept.
    pub time: Duration,
}

impl KeepUnfinished {
    /// For a day.
    pub const DEFAULT: Self = Self { time: Duration::from_secs(24 * 60 * 60) };
}
