//! `glancecast-controller`: keeps images on the hosts where policies want them, and answers a REST API.
//!
//! ```text
//! api (axum): who asks, what may be done --> store (SQLite, MariaDB) <--> work: queue, a child for each push
//!                                              ^                            glancecast send --events
//! reconcile: cloud, policies, inventory -------+
//! ```
//!
//! A push is a child process: whatever becomes of it, the API goes on.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))] // a closed pipe would end the program

pub mod api;
pub mod auth;
pub mod cloud;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod page;
pub mod plan;
pub mod policy;
pub mod reconcile;
pub mod run;
pub mod settings;
pub mod store;
pub mod work;
