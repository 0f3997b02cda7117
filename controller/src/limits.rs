//! Every bound of the controller, with its reason and what happens at it.

use std::time::Duration;

// The API.

/// Rows of a page. A larger `limit` is taken for this one, as Nova's `max_limit` does.
pub const PAGE_ROWS_MAX: u64 = 1_000;
/// Bytes of a request's body: 10 000 names of hosts of 64 bytes. Longer ones are answered with 413.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Time for a request's head to arrive. Slower connections are closed.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time for a request's body to arrive, and for its answer to begin. Slower ones are answered with 408 or 503.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Connections to the API at a time. Further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Connections to the listener of metrics at a time.
pub const METRICS_CONNECTIONS_MAX: usize = 16;
/// Streams of events at a time: each asks the database once a second. Further ones are answered with 503.
pub const STREAMS_MAX: usize = 256;
/// Time between two comments in a stream without events, so that proxies keep it open.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events that a stream reads from the database at a time.
pub const STREAM_BATCH: i64 = 500;
/// Longest time until a stream looks for events of another controller.
pub const STREAM_LOOK: Duration = Duration::from_secs(1);
/// Time for open requests and streams at the end of the program.
pub const END_TIME: Duration = Duration::from_secs(5);
/// Bytes of an `Idempotency-Key`: the length of its column.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

// Pushes and jobs.

/// Images of one push.
pub const IMAGES_PER_PUSH_MAX: usize = 100;
/// Aggregates and zones that a push can name.
pub const AGGREGATES_MAX: usize = 100;
/// Pushes that wait at a time. Further ones are answered with 503.
pub const QUEUE_MAX: i64 = 10_000;
/// Priorities of pushes: the queue is in their order.
pub const PRIORITY_MAX: i64 = 100;
/// Times that a push is put back into the queue because this program ended, or lost its lease, while it ran.
pub const INTERRUPTIONS_MAX: i64 = 10;
/// Times that a push is put back because its child ended without a result.
pub const CRASHES_MAX: i64 = 1;
/// Events that are kept of one push; the oldest go first. A push to 2 000 hosts has some 4 000, and one a second.
pub const EVENTS_PER_PUSH_MAX: i64 = 10_000;
/// Ended pushes and jobs that are kept, and for how long. The oldest go first.
pub const ENDED_MAX: i64 = 10_000;
/// The time after which an ended push or job is forgotten.
pub const ENDED_TIME: Duration = Duration::from_secs(90 * 86_400);
/// Verifications and diagnoses that wait. Further ones are answered with 503.
pub const JOBS_WAITING_MAX: i64 = 100;
/// Verifications and diagnoses that run at a time: each of them asks the whole group.
pub const JOBS_RUNNING_MAX: usize = 2;

// Children.

/// Bytes of a line of a child. `finished` of 10 000 hosts has 2 MB. A longer line ends the child.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a child's report: `hosts --json` of 400 000 copies has 100 MB.
pub const REPORT_BYTES_MAX: usize = 192 << 20;
/// Bytes of a report that are kept with a job: the column's length. A longer one is not kept, and the job says so.
pub const REPORT_KEPT_BYTES_MAX: usize = 8 << 20;
/// Bytes of the end of a child's standard error that are kept for messages.
pub const STDERR_BYTES_MAX: usize = 8 << 10;
/// Time after SIGTERM until a child is killed. A sender ends its session within a second.
pub const CHILD_END_TIME: Duration = Duration::from_secs(10);
/// Events of a child that wait for the database. Then the child's pipe fills, and the sender itself drops events.
pub const EVENTS_WAITING_MAX: usize = 1_024;
/// Time for which events are gathered before they are written.
pub const EVENTS_GAP: Duration = Duration::from_millis(250);

// Authentication.

/// Tokens that are remembered. The one that ends first is forgotten for another.
pub const TOKENS_MAX: usize = 10_000;
/// Bytes of a token. Keystone's fernet tokens have 300, its JSON web tokens some 1 000. Longer ones are invalid.
pub const TOKEN_BYTES_MAX: usize = 8_192;
/// Time for which a valid token is believed without asking again (`token_cache_time` of keystonemiddleware).
pub const TOKEN_TIME: Duration = Duration::from_secs(300);
/// Time for which an invalid token is refused without asking again.
pub const NO_TOKEN_TIME: Duration = Duration::from_secs(30);
/// Questions to Keystone at a time. Further ones wait.
pub const VALIDATIONS_MAX: usize = 16;
/// Longest time of a validation, its waiting included. Then the request is answered with 503.
pub const VALIDATION_TIME: Duration = Duration::from_secs(15);
/// Bytes of `policy.yaml`, the tokens' file, and the configuration.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Nested parentheses and references of a rule in `policy.yaml`. Deeper ones are refused.
pub const RULE_DEPTH_MAX: usize = 32;

// Several controllers.

/// Time for which a lease holds. One of the others takes over when it has passed.
pub const LEASE_TIME: Duration = Duration::from_secs(20);
/// Time between two renewals.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(5);
/// Time without a renewal after which the holder ends its children: earlier than another one can begin, by the time that a
/// child may take to end.
pub const LEASE_SAFE: Duration = Duration::from_secs(8);

const _: () = assert!(LEASE_SAFE.as_secs() + CHILD_END_TIME.as_secs() < LEASE_TIME.as_secs());
const _: () = assert!(LEASE_RENEWAL.as_secs() < LEASE_SAFE.as_secs());

// The cloud and the hosts.

/// Bytes of the state that the planner keeps between two plans.
pub const PLANNER_STATE_BYTES_MAX: usize = 4 << 20;
/// Longest time of a question to Glance and Nova for all images and hosts.
pub const CLOUD_TIME: Duration = Duration::from_secs(120);
/// Copies of a host that are kept: `glancecast hosts --json` has at most as many.
pub const COPIES_PER_HOST_MAX: usize = 1_000;
