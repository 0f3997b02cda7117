//! The session's buffers: memory for symbols on their way to being blocks, allocated once and lent out by number.

use glancecast_proto::receiver::{BufferId, Place};

/// The bytes behind the machine's buffer numbers.
pub(crate) struct Pool {
    buffers: Vec<Option<Box<[u8]>>>,
    symbol_size: usize,
}

impl Pool {
    /// Memory is taken from the system only as symbols are written: zeroed pages are not resident.
    pub(crate) fn new(buffers: u16, buffer_bytes: usize, symbol_size: usize) -> Self {
        let buffers = (0..buffers).map(|_| Some(vec![0; buffer_bytes].into_boxed_slice())).collect();
        Self { buffers, symbol_size }
    }

    pub(crate) fn none() -> Self {
        Self { buffers: Vec::new(), symbol_size: 0 }
    }

    /// The place of a symbol.
    #[inline]
    pub(crate) fn place(&mut self, place: Place) -> &mut [u8] {
        let buffer =
            self.buffers[usize::from(place.buffer.0)].as_mut().expect("the machine lends no buffer twice");
        &mut buffer[place.symbol as usize * self.symbol_size..][..self.symbol_size]
    }

    pub(crate) fn lend(&mut self, buffer: BufferId) -> Box<[u8]> {
        self.buffers[usize::from(buffer.0)].take().expect("the machine lends no buffer twice")
    }

    pub(crate) fn take_back(&mut self, buffer: BufferId, bytes: Box<[u8]>) {
        let place = &mut self.buffers[usize::from(buffer.0)];
        assert!(place.is_none(), "buffer {buffer:?} came back twice");
        *place = Some(bytes);
    }
}
