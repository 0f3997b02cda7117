//! Scenarios that have the machine to themselves, because they measure or move much data: nothing of ours runs beside them,
//! under nextest (`.config/nextest.toml`) and under plain `cargo test` alike.

mod fewer_bytes;
mod hostile;
mod ipv6;
mod marking;
mod mtu;
mod network;
mod one_way;
mod openstack;
mod source_specific;
mod sparse;
mod timed;
mod unit;
