//! Scenarios that measure or move much data, and so have the machine to themselves: under nextest
//! (`.config/nextest.toml`) and under plain `cargo test`, no other scenario runs in parallel.

mod doctor;
mod fewer_bytes;
mod forwarding;
mod host_network;
mod hostile;
mod ipv6;
mod macvlan;
mod marking;
mod mtu;
mod network;
mod one_way;
mod openstack;
mod outages;
mod routed_network;
mod source_specific;
mod sparse;
mod timed;
mod unit;
mod ways;
