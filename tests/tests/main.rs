//! The scenarios: one file a subject, one behaviour a test, named after it.
//!
//! The folder says how a scenario runs, and `.config/nextest.toml` knows folders only: `exclusive` with nothing of ours
//! beside it, `timed` once more when a bound on time was missed, `exclusive/openstack` with time to start a cloud.

mod bad_frames;
mod bad_input;
mod base;
mod buffers;
mod demo;
mod exclusive;
mod foul_cloud;
mod keys;
mod leaving;
mod licences;
mod queries;
mod rights;
mod sizes;
mod taken;
mod timed;
