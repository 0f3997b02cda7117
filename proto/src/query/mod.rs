//! Queries to a group: which objects hosts hold, whether the copies are still intact, and the end of their pins.
//!
//! [`Querier`] sends a query in rounds and collects the answers. [`Responder`] runs on a host next to its
//! [`Receiver`](crate::receiver::Receiver) and independently of it, so that a push and a query do not wait for each
//! other. Both are driven like the other machines: `handle_*` in, `poll_*` out, until they return nothing.
//!
//! A query is for everyone, or for the hosts whose names follow it in pages ([`Audience`](crate::wire::Audience)). A
//! host that has not heard the page with its own name looks into nothing and answers nothing. Where the querier has a
//! key, it signs the query, the pages and the acknowledgements, and a host that lists senders takes no others.
//!
//! An answer travels page by page, each signed by its host. A host repeats a page in growing gaps, a limited number of
//! times for each datagram of the querier, until it is acknowledged, and the acknowledgement asks for the next one. The
//! querier acknowledges no more than [`ANSWERS_PER_SECOND_MAX`](crate::limits::ANSWERS_PER_SECOND_MAX) pages a second.
//! The first pages of all hosts are spread over the time that the query states.

mod checks;
mod querier;
mod responder;
mod results;
#[cfg(test)]
mod testing;

pub use querier::{Querier, QuerierConfig};
pub use responder::{
    Asker, Examination, Lookup, LookupId, Probed, Reply, Responder, ResponderConfig, TrainId,
};
pub use results::{HostAnswer, Standing, Tally};
