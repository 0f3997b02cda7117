//! Receiving datagrams for nothing but their number of bytes: recvmmsg(2) into memory that is never looked at. The
//! one file with `unsafe` of this program.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

use nix::libc;

/// Memory for one call.
pub(crate) struct Counter {
    memory: Vec<u8>,
    message_bytes: usize,
}

impl Counter {
    /// For messages of up to `message_bytes`; of longer ones that much is counted.
    pub(crate) fn new(message_bytes: usize) -> Self {
        Self { memory: vec![0; message_bytes * MESSAGES], message_bytes }
    }

    /// Waits for a message, takes all that are there up to [`MESSAGES`], and returns how many bytes they hold; none
    /// when the socket's time is over.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<Option<u64>> {
        let mut parts: Vec<libc::iovec> = self
            .memory
            .chunks_exact_mut(self.message_bytes)
            .map(|chunk| libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: chunk.len() })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| libc::mmsghdr {
                msg_hdr: libc::msghdr {
                    msg_name: null_mut(),
                    msg_namelen: 0,
                    msg_iov: part,
                    msg_iovlen: 1,
                    msg_control: null_mut(),
                    msg_controllen: 0,
                    msg_flags: 0,
                },
                msg_len: 0,
            })
            .collect();
        // SAFETY: `headers` has MESSAGES elements; each points to one part, and each part to memory of its own of the
        // length it states. Parts and memory live until after the call, and nothing else uses them in the meantime.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                MESSAGES as libc::c_uint,
                libc::MSG_WAITFORONE as _,
                null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        };
        Ok(Some(headers[..received].iter().map(|header| u64::from(header.msg_len)).sum()))
    }
}

/// More at once make no difference.
const MESSAGES: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bytes_are_counted_and_silence_is_nothing() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let address = socket.local_addr().expect("bound");
        for bytes in [1, 20, 300] {
            socket.send_to(&vec![7; bytes], address).expect("loopback takes it");
        }
        let mut counter = Counter::new(2048);
        let mut counted = 0;
        while let Some(bytes) = counter.receive(&socket).expect("a socket that works") {
            counted += bytes;
        }
        assert_eq!(counted, 321);
    }
}
