//! A source whose chunks arrive asynchronously (from Glance), checked against the image's record at the end.

use std::fs::File;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::{Source, SourceError};
use crate::openstack::{CloudError, ContentCheck, SignatureCheck};

/// The maximum number of chunks between the download and the reading thread: a few MiB at HTTP's usual sizes.
const CHUNKS: usize = 32;

/// The download's end of the channel; waiting for room is its back-pressure. An error ends the push.
pub(crate) type ChunkSender = mpsc::Sender<Result<Bytes, CloudError>>;

/// The reading thread's end of the channel.
pub(crate) struct StreamSource {
    name: String,
    chunks: mpsc::Receiver<Result<Bytes, CloudError>>,
    chunk: Bytes,
    check: Option<ContentCheck>,
    signature: Option<SignatureCheck>,
    got: u64,
    expected: u64,
}

impl StreamSource {
    /// Returns a source of `expected` bytes, and the sender for those after `head`, which has arrived already. `check`
    /// compares all of them with Glance's record; without it only their number is checked.
    pub(crate) fn new(
        name: String,
        head: Bytes,
        expected: u64,
        check: Option<ContentCheck>,
    ) -> (Self, ChunkSender) {
        let (sender, chunks) = mpsc::channel(CHUNKS);
        (Self { name, chunks, chunk: head, check, signature: None, got: 0, expected }, sender)
    }

    /// Adds a check of the signature over the bytes.
    pub(crate) fn signed(mut self, check: Option<SignatureCheck>) -> Self {
        self.signature = check;
        self
    }

    /// Returns the next chunk that is not empty, or `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            match self.chunks.blocking_recv() {
                None => return Ok(None),
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => return Ok(Some(chunk)),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

impl Source for StreamSource {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.chunk.is_empty() {
                match self.next_chunk()? {
                    Some(chunk) => self.chunk = chunk,
                    None => break,
                }
            }
            let piece = self.chunk.len().min(buffer.len() - filled);
            buffer[filled..filled + piece].copy_from_slice(&self.chunk[..piece]);
            self.chunk.advance(piece);
            filled += piece;
        }
        if let Some(check) = &mut self.check {
            check.update(&buffer[..filled]);
        }
        if let Some(signature) = &mut self.signature {
            signature.update(&buffer[..filled]);
        }
        self.got += filled as u64;
        Ok(filled)
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        let further = self.chunk.len() as u64 + self.next_chunk()?.map_or(0, |chunk| chunk.len() as u64);
        if further > 0 || self.got != self.expected {
            let got = self.got + further;
            return Err(SourceError::Length { name: self.name.clone(), got, expected: self.expected });
        }
        if let Some(check) = self.check.take() {
            check.finish().map_err(|error| SourceError::Content { name: self.name.clone(), error })?;
        }
        if let Some(signature) = self.signature.take() {
            signature.finish().map_err(|error| SourceError::Signature { name: self.name.clone(), error })?;
        }
        Ok(())
    }

    fn again(&self) -> Option<&File> {
        None
    }
}
