//! A clock that is wrong for one program: libfaketime, preloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skip::Need;

/// What it needs.
pub const NEED: Need = Need::Program("faketime", "faketime");

/// Shifts the civil time of a program by some seconds. Its monotonic clock stays what it is.
///
/// # Panics
/// When the library is not where Debian has it: [`NEED`] is to be asked first.
pub fn shift(command: &mut Command, seconds: i32) {
    let library = library().expect("faketime is installed, and its library is not found");
    command.env("LD_PRELOAD", library);
    command.env("FAKETIME", format!("{seconds:+}s")).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Returns the library for programs of several threads: /usr/lib/ARCHITECTURE/faketime on Debian and Ubuntu, /usr/lib64
/// or /usr/lib elsewhere.
fn library() -> Option<PathBuf> {
    let of_architectures = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let places = of_architectures.chain(["/usr/lib64", "/usr/lib"].map(|place| Path::new(place).to_owned()));
    places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file())
}
