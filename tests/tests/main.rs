//! The scenarios: one file for each subject, one test for each behaviour, named after it.
//!
//! The folder determines how a scenario runs, and `.config/nextest.toml` knows only folders: `exclusive` without other
//! scenarios in parallel, `timed` again if a time limit was missed, `exclusive/openstack` with time to start a cloud.

mod afterwards;
mod bad_frames;
mod bad_input;
mod base;
mod buffers;
mod causes;
mod command_line;
mod demo;
mod documents;
mod exclusive;
mod following;
mod foul_cloud;
mod host_keys;
mod keys;
mod known_hosts;
mod leaving;
mod licences;
mod names;
mod no_disk;
mod node;
mod odd_cloud;
mod own_address;
mod pipes;
mod queries;
mod rekey;
mod removal_races;
mod removing;
mod repairing;
mod rights;
mod settings;
mod sizes;
mod state;
mod taken;
mod timed;
mod ways;
