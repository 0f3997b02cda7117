//! Finds out from the bytes of a disk image what it is and whether it is safe to use, before any tool opens it.
//!
//! The rules are those that Nova applies to its own downloads (`nova/virt/images.py`: `do_image_deep_inspection` and
//! what follows it in `fetch_to_raw`, Nova 34; the inspectors are oslo.utils 10.2, `imageutils/format_inspector.py`).
//! Nova applies few of them to a file that is already in its cache, so the program that puts the file there has to.
//! Part of Nova's check is the output of `qemu-img info`: QEMU must detect the declared format, and the image must not
//! refer to anything outside itself. This crate reads the same from the bytes. Where the two differ, this crate is
//! stricter, and a comment says so.
//!
//! ```
//! use glancecast_inspect::{CheckError, Claim, DiskFormat, Limits, Rule, check};
//! use std::io::Cursor;
//!
//! let mut image = Cursor::new(b"QFI\xfb....".to_vec());
//! let error = check(&mut image, Claim::Format(DiskFormat::Raw), &Limits::default()).unwrap_err();
//! assert!(matches!(error, CheckError::Refused(refusal) if refusal.rule == Rule::FormatMismatch));
//! ```
//!
//! - [`check()`] checks a whole image; [`check_head`] checks the first [`HEAD_BYTES`] of one that is still arriving,
//!   which is enough for a disk, and not for formats with tables that are farther away. Both return [`Facts`] or a
//!   [`Refusal`], whose [`Rule`] has a stable name.
//! - [`check_end`] looks at the end of a raw image too, where one kind of file has its only mark.
//! - [`detect()`] only returns the formats that the bytes look like.
//!
//! All input is hostile: no value in an image makes this code panic, recurse, loop or allocate. It holds at most
//! 10 MiB, and reads at most 16 GiB of an image's tables, each of them once.

#![forbid(unsafe_code)]

mod check;
mod detect;
mod enums;
mod format;
mod mbr;
mod odd;
mod packed;
mod printable;
mod qcow2;
mod qed;
mod reach;
mod refusal;
mod vdi;
mod vhd;
mod vhdx;
mod view;
mod vmdk;

pub use check::{CheckError, Claim, Facts, Limits, check, check_end, check_head};
pub use detect::detect;
pub use format::{DiskFormat, Format, UnknownDiskFormat};
pub use mbr::TableFault;
pub use odd::{Odd, Waiver};
pub use packed::Packed;
pub use reach::Overhang;
pub use refusal::{Refusal, Rule};
pub use view::HEAD_BYTES;
pub use vmdk::VmdkType;
