//! What the kernel's path alone carries on this machine. One thread sends batches of datagrams to a group as fast as
//! the line and the kernel allow, and one thread per receiver only counts what arrives.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use glancecast_tests::netns::Lab;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};

use super::network::Network;

/// The throughput of the kernel's path alone, as the mean of the receivers.
#[derive(Debug, Clone)]
pub struct KernelPath {
    /// Datagrams of 1472 bytes per second.
    pub datagrams_per_second: f64,
    /// The rate of their payload.
    pub gbit_s: f64,
    /// Seconds for the length of the image.
    pub seconds: f64,
    /// The share of sent bytes that did not arrive.
    pub lost_share: f64,
}

/// Sends for a fixed time and counts what arrives. `seconds` of the result is for `image_bytes`.
///
/// # Panics
/// If the network cannot be built.
pub fn measure(network: &Network, image_bytes: u64) -> Result<KernelPath> {
    // Without loss, which does not reduce what the path carries.
    let lossless = Network { loss_per_mille: 0, ..network.clone() };
    let lab = Lab::build(&lossless.shape(network.tc_rate().as_deref()));
    let receivers: Vec<UdpSocket> = (1..=network.receivers)
        .map(|number| {
            let fourth = u8::try_from(number).expect("a lab has at most 250 receivers");
            lab.inside(&format!("r{number}"), || join(Ipv4Addr::new(10, 77, 1, fourth), network.offload))
        })
        .collect::<Result<_>>()?;
    let sender = lab.inside(Lab::SENDER, blaster)?;
    let message_bytes = if network.offload { BATCH_BYTES_MAX } else { 2048 };
    let begin = Instant::now();
    let (sent, rates) = thread::scope(|scope| {
        let counters: Vec<_> =
            receivers.iter().map(|socket| scope.spawn(|| count(socket, message_bytes, begin))).collect();
        let sent = blast(&sender, begin)?;
        let rates: Result<Vec<(u64, Duration)>> =
            counters.into_iter().map(|counter| counter.join().expect("counting does not panic")).collect();
        anyhow::Ok((sent, rates?))
    })?;
    Ok(summary(sent, &rates, image_bytes))
}

fn summary(sent_bytes: u64, received: &[(u64, Duration)], image_bytes: u64) -> KernelPath {
    let rates = received.iter().map(|(bytes, lasted)| *bytes as f64 / lasted.as_secs_f64());
    let bytes_per_second = rates.sum::<f64>() / received.len() as f64;
    let received_bytes: u64 = received.iter().map(|(bytes, _)| bytes).sum();
    KernelPath {
        datagrams_per_second: bytes_per_second / DATAGRAM_BYTES as f64,
        gbit_s: bytes_per_second * 8.0 / 1e9,
        seconds: image_bytes as f64 / bytes_per_second,
        lost_share: 1.0 - received_bytes as f64 / (sent_bytes * received.len() as u64) as f64,
    }
}

fn join(address: Ipv4Addr, offload: bool) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(GROUP).context("cannot bind to the group")?;
    socket.join_multicast_v4(GROUP.ip(), &address).context("cannot join the group")?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).context("SO_RCVBUFFORCE")?;
    setsockopt(&socket, sockopt::UdpGroSegment, &offload).context("UDP_GRO")?;
    socket.set_read_timeout(Some(SILENCE)).context("SO_RCVTIMEO")?;
    Ok(socket)
}

fn blaster() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot bind")?;
    socket.set_multicast_loop_v4(false).context("IP_MULTICAST_LOOP")?;
    socket.connect(GROUP).context("cannot connect to the group")?;
    setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(DATAGRAM_BYTES).expect("it is small"))
        .context("UDP_SEGMENT")?;
    Ok(socket)
}

/// Sends until the time is over. The socket's buffer is smaller than the queue of the line, so that the line blocks the
/// sender and drops nothing.
fn blast(socket: &UdpSocket, begin: Instant) -> Result<u64> {
    let batch = vec![0x5a; DATAGRAM_BYTES * BATCH_DATAGRAMS];
    let mut sent = 0;
    while begin.elapsed() < DURATION {
        sent += socket.send(&batch).context("cannot send")? as u64;
    }
    Ok(sent)
}

/// Counts bytes without reading them until no more arrive. Returns the count and the time of the last from `begin` on.
fn count(socket: &UdpSocket, message_bytes: usize, begin: Instant) -> Result<(u64, Duration)> {
    let mut memory = vec![0; message_bytes * MESSAGES];
    let mut headers = MultiHeaders::<()>::preallocate(MESSAGES, None);
    let (mut bytes, mut last) = (0, Duration::from_nanos(1));
    loop {
        let parts = memory.chunks_exact_mut(message_bytes);
        let mut parts: Vec<[IoSliceMut<'_>; 1]> = parts.map(|part| [IoSliceMut::new(part)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        match recvmmsg(socket.as_raw_fd(), &mut headers, &mut parts, flags, None) {
            Ok(messages) => bytes += messages.map(|message| message.bytes as u64).sum::<u64>(),
            Err(Errno::EAGAIN) => return Ok((bytes, last)),
            Err(error) => return Err(error).context("cannot receive"),
        }
        last = begin.elapsed();
    }
}

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 77, 1), 27_077);
/// The largest payload at MTU 1500.
const DATAGRAM_BYTES: usize = 1472;
/// As many as fit into the longest UDP datagram.
const BATCH_DATAGRAMS: usize = 44;
const BATCH_BYTES_MAX: usize = 1 << 16;
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
const DURATION: Duration = Duration::from_millis(1500);
/// Messages per system call; more make no difference.
const MESSAGES: usize = 64;
/// Time without datagrams after which no more are expected.
const SILENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_nothing_comes() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let address = socket.local_addr().expect("bound");
        for bytes in [1, 20, 300] {
            socket.send_to(&vec![7; bytes], address).expect("loopback takes it");
        }
        assert_eq!(count(&socket, 2048, Instant::now()).expect("a socket that works").0, 321);
    }

    #[test]
    fn a_receiver_that_counts_half_makes_the_mean_lower() {
        let second = Duration::from_secs(1);
        let path = summary(1_472_000, &[(1_472_000, second), (736_000, second)], 2_208_000);
        assert!((path.datagrams_per_second - 750.0).abs() < 1e-6, "{path:?}");
        assert!((path.lost_share - 0.25).abs() < 1e-9, "{path:?}");
        assert!((path.seconds - 2.0).abs() < 1e-9, "{path:?}");
    }
}
