//! The scenarios: one file a subject, one behaviour a test, named after it.

mod bad_input;
mod demo;
mod glance;
mod joining;
mod keys;
mod leaving;
mod licences;
mod network;
mod sizes;
mod sparse;
mod street;
mod taken;
