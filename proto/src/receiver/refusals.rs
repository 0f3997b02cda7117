//! Of which refused senders the log was told: of each of the first few at once, so that none of them hides another, and
//! of each push once.

use crate::ids::SessionId;
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::told::Told;

/// The refused senders and pushes that were reported as events.
#[derive(Default)]
pub(super) struct RefusalsTold {
    /// At most [`SIGNERS_MAX`].
    signers: Vec<Option<PublicKey>>,
    pushes: Told<SessionId>,
}

impl RefusalsTold {
    /// Whether it is to be told that this push is refused, which claims this signer.
    pub(super) fn has_news(&self, now: Moment, session: SessionId, signer: Option<PublicKey>) -> bool {
        self.is_new(signer) || self.pushes.has_news(now, &session)
    }

    /// The same; it counts as told then.
    pub(super) fn is_news(&mut self, now: Moment, session: SessionId, signer: Option<PublicKey>) -> bool {
        let is_news = self.has_news(now, session, signer);
        if self.is_new(signer) {
            self.signers.push(signer);
        }
        if is_news {
            self.pushes.note(now, session);
        }
        is_news
    }

    fn is_new(&self, signer: Option<PublicKey>) -> bool {
        self.signers.len() < SIGNERS_MAX && !self.signers.contains(&signer)
    }
}

/// The number of refused senders that are told of at once, however closely they follow each other.
const SIGNERS_MAX: usize = 8;
