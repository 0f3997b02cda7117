//! The sender's side of OpenStack: an authenticated session, lists of images, image look-up by name or id, the byte
//! stream of one image with the proof that it is what Glance keeps, and the hosts that Nova knows.
//!
//! The OpenStack SDK provides the catalog and the federated authentication methods. Every request goes through the client in `http`, which gives the reason. The caller decides what is sent to whom, and whether a
//! private image may be multicast.

mod certificates;
mod check;
mod config;
mod download;
mod error;
mod find;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod http;
mod image;
mod keystone;
mod list;
mod login;
mod login_error;
mod nova;
#[cfg(test)]
mod redirects;
mod session;
mod signature;
mod trusted;

pub(crate) use check::ContentCheck;
pub(crate) use config::CloudChoice;
pub(crate) use download::{Download, DownloadOptions};
pub(crate) use error::{CloudError, CloudErrorKind, shown};
pub(crate) use hosts::Choice;
pub(crate) use image::ImageRecord;
pub(crate) use list::{ImageFilter, ListedImage};
pub(crate) use nova::Nova;
pub(crate) use session::Cloud;
pub(crate) use signature::{SignatureCheck, SignatureError};
