//! The things that the controller speaks of: pushes, images, hosts, copies. Pure values, without a database or a network.

mod cloud;
mod inventory;
mod push;
mod time;

pub use cloud::{Cloud, Host, Image};
pub use inventory::{Copy, Inventory, Pinned};
pub use push::{HostChoice, Item, ItemStatus, JobRequest, Origin, Push, PushRequest, Reach, Status, Target};
pub use time::{parse_time, rfc3339};
