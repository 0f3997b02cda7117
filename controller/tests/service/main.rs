//! The built controller on real sockets, with a made-up `glancecast` that prints the sender's events: requests, streams, kills.

mod api;
mod browser;
mod cloud;
mod kills;
mod page;
mod policies;
mod service;
