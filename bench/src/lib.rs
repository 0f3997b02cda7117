//! What the measurements have in common: memory, the clock, and the core they run on.

pub mod measure;
