//! Queries to a group: which objects hosts hold, whether the copies are still intact, and the end of their pins.
//!
//! [`Querier`] sends a query in rounds and collects the answers. [`Responder`] runs on a host next to its
//! [`Receiver`](crate::receiver::Receiver) and independently of it, so that a push and a query do not wait for each
//! other. Both are driven like the other machines: `handle_*` in, `poll_*` out, until they return nothing.
//!
//! An answer travels page by page. A host repeats a page in growing gaps until it is acknowledged, and the
//! acknowledgement asks for the next one. The querier acknowledges no more than
//! [`ANSWERS_PER_SECOND_MAX`](crate::limits::ANSWERS_PER_SECOND_MAX) pages a second. The first pages of all hosts are
//! spread over the time that the query states.

mod querier;
mod responder;
mod results;

pub use querier::{Querier, QuerierConfig};
pub use responder::{Lookup, LookupId, Reply, Responder, ResponderConfig};
pub use results::{HostAnswer, Standing, Tally};
