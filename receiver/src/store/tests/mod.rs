//! Tests of the store as a whole, and what the tests of its parts share. No program contains any of this.

#[cfg(test)]
mod crash;
#[cfg(test)]
pub(super) mod disk_model;
#[cfg(test)]
mod facade;
pub(crate) mod fuzz;
#[cfg(test)]
mod races;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod shared;

#[cfg(test)]
pub(super) use shared::{OBJECT, announce, is_root};
