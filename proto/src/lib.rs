//! The protocol between `glancecast` and `glancecastd`: how an object is divided, what proves it, the datagrams byte by
//! byte, and the behaviour of both sides.
//!
//! Everything here is pure. [`Sender`](sender::Sender) and [`Receiver`](receiver::Receiver) are plain structs:
//! `handle_*` handles what happened, `poll_*` returns what to do next; time and randomness are arguments. The bytes of
//! symbols do not pass through the machines, which see headers and counts and request heavy work as effects.
//!
//! A machine starts from its configuration and the time. After each input the shell drains
//! [`poll_event`](receiver::Receiver::poll_event), [`poll_transmit`](receiver::Receiver::poll_transmit),
//! [`poll_effect`](receiver::Receiver::poll_effect) and [`poll_timeout`](receiver::Receiver::poll_timeout):
//!
//! ```
//! use glancecast_proto::agree::StartSecret;
//! use glancecast_proto::ids::HostName;
//! use glancecast_proto::receiver::{Receiver, ReceiverConfig};
//! use glancecast_proto::seal::GroupKey;
//! use glancecast_proto::senders::Senders;
//! use glancecast_proto::sign::SigningKey;
//! use glancecast_proto::time::{Moment, WallClock};
//!
//! let mut machine: Receiver<(), ()> = Receiver::new(ReceiverConfig {
//!     name: HostName::new("compute-1")?,
//!     software: "example".into(),
//!     keys: vec![GroupKey::new([7; 32])],
//!     host_key: SigningKey::from_seed(&[3; 32].into()), // random in earnest, and the same at each start
//!     secret: StartSecret::new([4; 32]), // random in earnest, as `start` and `seed`
//!     mtu: Some(1500),
//!     senders: Senders::any(),
//!     start: [1; 16],
//!     seed: [2; 32],
//!     can_relay: false,
//!     buffer_bytes: 64 << 20,
//! });
//! let (now, wall, sender) = (Moment::default(), WallClock(1_767_225_600_000), ([10, 0, 0, 1], 7167).into());
//!
//! // What comes from the network is taken in or discarded for a reason, which is counted.
//! assert!(machine.handle_datagram(now, wall, sender, b"\x02 something else").is_err());
//! machine.handle_timeout(now);
//!
//! // What the machine wants to send and to have done. Nothing yet: no push was announced.
//! let mut datagram = Vec::new();
//! assert!(machine.poll_transmit(now, &mut datagram).is_none());
//! assert!(machine.poll_timeout().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/in_memory_push.rs` is a whole push between a sender and two receivers.

pub mod agree;
mod audience;
mod bucket;
pub mod doctor;
pub mod echo;
mod enums;
pub mod geometry;
pub mod hex;
pub mod ids;
pub mod integrity;
pub mod keyring;
pub mod known;
pub mod limits;
pub mod outages;
pub mod plan;
pub mod query;
pub mod ranges;
pub mod receiver;
pub mod relay;
mod repeat;
mod rng;
pub mod seal;
pub mod sender;
pub mod senders;
pub mod sign;
mod text;
pub mod time;
pub mod told;
pub mod units;
pub mod wire;
