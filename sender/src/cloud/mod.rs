//! The sender's side of OpenStack: an authenticated session, lists of images, image look-up by name
//! or id, the byte stream of one image with the proof that it is what Glance keeps, and the hosts
//! that Nova knows.
//!
//! `openstack_sdk` does Keystone, the catalog and the image metadata; `download` reads the bytes
//! itself and says there why. What is sent to whom, and whether a private image may be multicast,
//! is the caller's to decide.

mod check;
mod config;
mod download;
mod error;
mod find;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod image;
mod list;
mod nova;
mod session;
mod signature;

pub(crate) use check::ContentCheck;
pub(crate) use download::{Download, DownloadOptions};
pub(crate) use error::{CloudError, CloudErrorKind};
pub(crate) use hosts::Choice;
pub(crate) use image::ImageRecord;
pub(crate) use list::{ImageFilter, ListedImage};
pub(crate) use nova::Nova;
pub(crate) use session::Cloud;
pub(crate) use signature::{SignatureCheck, SignatureError};
