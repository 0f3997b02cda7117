//! The session's buffers: memory for symbols until their block is decoded, allocated once and lent by number.

use std::ops::{Deref, DerefMut};

use glancecast_proto::receiver::{BufferId, Place};

/// Page-aligned memory, which direct writes need (open(2), `O_DIRECT`).
#[derive(Debug, Default)]
pub(crate) struct Pages {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Pages {
    /// Returns `len` zero bytes. They take no memory until something is written to them.
    pub(crate) fn new(len: usize) -> Self {
        let memory = vec![0; len + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        assert!(start < PAGE, "a byte can be found at any alignment");
        Self { memory, start, len }
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.len]
    }
}

/// The page size of common machines, and the largest logical block size of common disks.
pub(crate) const PAGE: usize = 4096;

/// The memory behind the machine's buffer numbers.
pub(crate) struct Pool {
    buffers: Vec<Option<Pages>>,
    symbol_size: usize,
}

impl Pool {
    /// Allocates the buffers. Zeroed pages become resident only as symbols are written to them.
    pub(crate) fn new(buffers: u16, buffer_bytes: usize, symbol_size: usize) -> Self {
        let buffers = (0..buffers).map(|_| Some(Pages::new(buffer_bytes))).collect();
        Self { buffers, symbol_size }
    }

    pub(crate) fn none() -> Self {
        Self { buffers: Vec::new(), symbol_size: 0 }
    }

    /// Returns the memory of a symbol.
    #[inline]
    pub(crate) fn place(&mut self, place: Place) -> &mut [u8] {
        let buffer =
            self.buffers[usize::from(place.buffer.0)].as_mut().expect("the machine lends no buffer twice");
        &mut buffer[place.symbol as usize * self.symbol_size..][..self.symbol_size]
    }

    pub(crate) fn lend(&mut self, buffer: BufferId) -> Pages {
        self.buffers[usize::from(buffer.0)].take().expect("the machine lends no buffer twice")
    }

    pub(crate) fn take_back(&mut self, buffer: BufferId, bytes: Pages) {
        let place = &mut self.buffers[usize::from(buffer.0)];
        assert!(place.is_none(), "buffer {buffer:?} came back twice");
        *place = Some(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_at_a_page_and_are_as_long_as_asked_for() {
        for len in [0, 1, PAGE - 1, PAGE, 3 * PAGE + 17, 1 << 20] {
            let mut pages = Pages::new(len);
            assert_eq!((pages.as_ptr().align_offset(PAGE), pages.len()), (0, len));
            pages.fill(7);
            assert!(pages.iter().all(|&byte| byte == 7));
        }
    }
}
