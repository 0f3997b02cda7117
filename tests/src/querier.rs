//! A querier of IGMP on a host of a lab: it asks for members as a router does (RFC 3376 §4.1), until it is dropped.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Lab;

/// A querier that asks twice a second, and to which members answer at once.
#[derive(Debug)]
pub struct Querier {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Querier {
    /// Begins to ask from the address of a host.
    pub fn start(lab: &Lab, host: &str) -> Self {
        let socket = lab.inside(host, || {
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IGMP))).expect("who built the lab may")
        });
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (message, to) = (message(), SocketAddrV4::new(ALL_HOSTS, 0));
            while !seen.load(Ordering::Relaxed) {
                socket.send_to(&message, &to.into()).expect("the route to groups is there");
                thread::sleep(GAP);
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Querier {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Returns a query of version 3 about all groups.
fn message() -> [u8; 12] {
    let mut message = [0x11, ANSWER_TENTHS, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0];
    let sum: u16 = message.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).sum();
    message[2..4].copy_from_slice(&(!sum).to_be_bytes());
    message
}

/// Within a tenth of a second.
const ANSWER_TENTHS: u8 = 1;
/// The protocol number.
const IGMP: i32 = 2;
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const GAP: Duration = Duration::from_millis(500);
