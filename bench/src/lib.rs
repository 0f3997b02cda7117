//! Measurements. They print, compare and record; they never gate a test.
//!
//! A measurement of whole programs is a list of cases: [`case`] describes what is measured, [`run`] runs a tool once,
//! [`record`] holds the figures, [`render`] formats them, and [`harness`] is the common `main`. Measurements of single
//! functions share [`micro`].

pub mod case;
pub mod content;
pub mod glancecast;
pub mod goal;
pub mod harness;
pub mod lab;
pub mod micro;
pub mod plot;
pub mod record;
pub mod render;
pub mod run;
pub mod tools;
pub mod ways;
