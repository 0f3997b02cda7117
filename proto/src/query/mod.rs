//! Queries to a group: what is held where, whether it is still what it was, and letting go of it.
//!
//! [`Querier`] says a query in rounds and collects the answers; [`Responder`] is a host's side, beside its
//! [`Receiver`](crate::receiver::Receiver) and independent of it, so that a push and a query do not wait for each
//! other. Both are driven as the other machines are: `handle_*` in, `poll_*` out, until they have nothing to say.
//!
//! An answer travels page by page. A host repeats a page in growing gaps until it is acknowledged, and the
//! acknowledgement asks for the next one; the querier acknowledges no more than
//! [`ANSWERS_PER_SECOND_MAX`](crate::limits::ANSWERS_PER_SECOND_MAX) pages a second. The first pages of all hosts are
//! spread over the time that the query says.

mod querier;
mod responder;
mod results;

pub use querier::{Querier, QuerierConfig};
pub use responder::{Lookup, LookupId, Reply, Responder, ResponderConfig};
pub use results::{HostAnswer, Standing, Tally};
