//! The settings that repeat on every call: where they come from, and which value is in force.
//!
//! ```text
//! /etc/glancecast/glancecast.toml                  \
//! ~/.config/glancecast/config.toml                  |  or --config FILE alone
//! [profile.NAME] of the first, then of the second  /
//! GLANCECAST_*                                         the environment
//! flags                                                the command line
//!                         each replaces what stands above it
//! ```
//!
//! `catalog` has the settings and what excludes what, `file` and `environment` read one place each, `layers` merges;
//! all four are pure. `find` opens the files. The command line makes options of the result (`cli::settle`).

mod catalog;
mod environment;
mod error;
mod file;
mod find;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod layers;
mod nearest;

pub(crate) use catalog::{Kind, SETTINGS, Setting, is_for};
pub(crate) use error::SettingsError;
pub(crate) use find::{Asked, Found, load};
pub(crate) use layers::{Entry, Layer, Origin, merge};
