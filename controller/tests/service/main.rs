//! The built controller on real sockets, with a made-up `glancecast` that prints the sender's events: requests, streams, kills.

mod api;
mod cloud;
mod kills;
mod policies;
mod service;
