//! The harness of the scenarios in `tests/tests`: real `glancecast` and `glancecastd` processes on loopback or in
//! network namespaces, images from a seed, and records for the summary of `make test`.
//!
//! The mechanics are here, so that a scenario reads as a story: [`testbed`] provides a directory, a group and a key,
//! [`process`] ends what it started, [`netns`] builds and removes networks. Every wait has a deadline.

pub mod attacker;
pub mod breaker;
pub mod capture;
pub mod clock;
pub mod delivery;
pub mod exclusive;
pub mod fake_cloud;
pub mod image;
pub mod lessor;
pub mod netns;
pub mod nova;
pub mod openstack;
pub mod outage;
pub mod places;
pub mod process;
pub mod quota;
pub mod report;
pub mod routed;
pub mod schema;
pub mod sender_keys;
pub mod sim;
pub mod skip;
pub mod systemd;
pub mod testbed;
pub mod wait;

pub use glancecast_testkit::{measured, test_name};
