//! The scenarios: one file a subject, one behaviour a test, named after it.

mod bad_input;
mod buffers;
mod choosing;
mod demo;
mod glance;
mod glance_breaks;
mod hostile;
mod ipv6;
mod joining;
mod keys;
mod leaving;
mod licences;
mod many;
mod marking;
mod memory;
mod mtu;
mod network;
mod one_way;
mod questions;
mod rate;
mod sizes;
mod source_specific;
mod sparse;
mod stragglers;
mod street;
mod taken;
