//! Questions to a group: what is held where, whether it is still what it was, and letting go of it.
//!
//! [`Asker`] says a question in rounds and collects the answers; [`Respondent`] is a host's side, beside its
//! [`Receiver`](crate::receiver::Receiver) and independent of it, so that a push and a question do not wait for each
//! other. Both are driven as the other machines are: `handle_*` in, `poll_*` out, until they have nothing to say.
//!
//! An answer travels page by page. A host repeats a page in growing gaps until it is acknowledged, and the
//! acknowledgement asks for the next one; the asker acknowledges no more than
//! [`ANSWERS_PER_SECOND_MAX`](crate::limits::ANSWERS_PER_SECOND_MAX) pages a second. The first pages of all hosts are
//! spread over the time that the question says.

mod asker;
mod respondent;
mod rows;

pub use asker::{Asker, AskerConfig};
pub use respondent::{Inquiry, InquiryId, Reply, Respondent, RespondentConfig};
pub use rows::{HostAnswer, Standing, Tally};
