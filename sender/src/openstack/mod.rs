//! The sender's side of OpenStack: an authenticated session, lists of images, image look-up by name or id, the byte
//! stream of one image with the proof that it is what Glance keeps, and the hosts that Nova knows.
//!
//! Every request goes through the client in `http`, which decides to whom secrets go and what is asked again. The caller
//! decides what is sent to whom, and whether a private image may be multicast.

mod auth;
mod catalog;
mod check;
mod config;
mod discovery;
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
mod namesakes;
mod nova;
mod oidc;
mod overview;
mod proxy;
#[cfg(test)]
mod redirects;
mod retry;
mod service;
mod session;
mod signature;
mod tls;
mod tokens;
mod trusted;

pub(crate) use check::ContentCheck;
pub(crate) use config::CloudChoice;
pub(crate) use download::{Download, DownloadOptions};
pub(crate) use error::{CloudError, CloudErrorKind, shown};
pub(crate) use hosts::Choice;
pub(crate) use image::ImageRecord;
pub(crate) use list::{ImageFilter, ListedImage};
pub(crate) use namesakes::Namesakes;
pub(crate) use nova::Nova;
pub use overview::{CloudHost, CloudImage};
pub(crate) use session::Cloud;
pub(crate) use signature::{SignatureCheck, SignatureError};
pub use tokens::Expired;
pub(crate) use tokens::auth_url;
