//! What the service manager learns of this service (sd_notify(3)): that it is ready, what it is at, that it turns.
//!
//! ```text
//! loop    --READY=1, STATUS=.., WATCHDOG=1, STOPPING=1--> the socket in NOTIFY_SOCKET
//! signals --RELOADING=1-------------------------------->
//! ```
//!
//! Without a service manager nothing is sent. Sending never blocks: what the manager does not take is lost, and the next
//! ping says the same.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::time::Moment;
use glancecast_proto::wire::printable;
use nix::time::{ClockId, clock_gettime};

/// The way to the service manager; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    to: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// The manager ends a service that is silent for this long.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Returns the notifier that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        match env::var_os("NOTIFY_SOCKET") {
            Some(socket) => Self::to(&socket, watchdog.map(Duration::from_micros)).unwrap_or_else(|error| {
                tracing::warn!("NOTIFY_SOCKET cannot be used ({error}): the service manager learns nothing");
                Self::default()
            }),
            None => Self::default(),
        }
    }

    /// Returns a notifier that sends to this socket: a path, or `@` and the name of an abstract socket.
    fn to(socket: &OsString, watchdog: Option<Duration>) -> io::Result<Self> {
        let bytes = socket.as_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(socket)?,
        };
        let sending = UnixDatagram::unbound()?;
        sending.set_nonblocking(true)?;
        Ok(Self { to: Some(Arc::new((sending, address))), watchdog })
    }

    /// Reports that the settings are being read anew.
    pub fn reloading(&self) {
        // The manager tells by this time which readiness is the one after the reload.
        let micros = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_or(0, |now| i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1_000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    fn send(&self, assignments: &str) {
        if let Some((socket, address)) = self.to.as_deref()
            && let Err(error) = socket.send_to_addr(assignments.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager did not take a notice");
        }
    }
}

/// What a service's loop tells the service manager, and when.
#[derive(Debug)]
pub struct Service {
    notifier: Notifier,
    /// Time between two pings; `None` without a watchdog.
    gap: Option<Duration>,
    ping_at: Moment,
    is_ready: bool,
    /// The last status that was told.
    told: String,
}

impl Service {
    /// Returns what a service tells by this notifier.
    pub fn new(notifier: Notifier) -> Self {
        let gap = notifier.watchdog.map(|watchdog| watchdog / PINGS_A_WATCHDOG);
        Self { notifier, gap, ping_at: Moment::default(), is_ready: false, told: String::new() }
    }

    /// Pings the watchdog when that is due. The loop calls it at each turn, and nothing else does: a loop that hangs is
    /// ended and started again.
    pub fn ping(&mut self, now: Moment) {
        if let Some(gap) = self.gap
            && now >= self.ping_at
        {
            self.ping_at = now + gap;
            self.notifier.send("WATCHDOG=1");
        }
    }

    /// Returns how long the loop may sleep without missing a ping.
    pub fn patience(&self) -> Duration {
        self.gap.unwrap_or(Duration::MAX)
    }

    /// Reports that the service is ready, once: the group is joined, or was waited for longer than a boot should wait.
    pub fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.notifier.send("READY=1");
        }
    }

    /// Whether [`ready`](Self::ready) was called.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Reports that a reload is over, whether it took the settings or not.
    pub fn reloaded(&self) {
        if self.is_ready {
            self.notifier.send("READY=1");
        }
    }

    /// Reports that the service ends.
    pub fn stopping(&self) {
        self.notifier.send("STOPPING=1\nSTATUS=ends");
    }

    /// Reports what the service is at, in one line, if that differs from the last report.
    pub fn status(&mut self, status: String) {
        if status != self.told {
            self.notifier.send(&format!("STATUS={}", printable(&status)));
            self.told = status;
        }
    }
}

/// Pings in the time after which the manager ends a silent service (sd_watchdog_enabled(3) advises two).
const PINGS_A_WATCHDOG: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_abstract_name_are_both_reached() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let name = format!("glancecast-test-{}", process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&abstract_address).expect("a socket");
        for (socket, manager) in [(path.into_os_string(), by_path), (format!("@{name}").into(), by_name)] {
            let mut service = Service::new(Notifier::to(&socket, None).expect("a socket"));
            service.ready();
            service.ready();
            service.status("listening\non eth1".into());
            service.stopping();
            assert_eq!(
                [(); 3].map(|()| received(&manager)),
                ["READY=1", "STATUS=listening?on eth1", "STOPPING=1\nSTATUS=ends"].map(str::to_owned),
            );
        }
    }

    #[test]
    fn the_watchdog_is_fed_three_times_in_its_time_and_never_without_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        manager.set_nonblocking(true).expect("a socket");
        let socket = path.into_os_string();
        let pings = |watchdog| {
            let mut service = Service::new(Notifier::to(&socket, watchdog).expect("a socket"));
            (0..30).for_each(|second| service.ping(Moment::from_micros(second * 1_000_000)));
            std::iter::from_fn(|| manager.recv(&mut [0; 64]).ok()).count()
        };
        assert_eq!((pings(Some(Duration::from_secs(30))), pings(None)), (3, 0));
    }

    #[test]
    fn a_reload_names_its_time_and_a_service_that_is_not_ready_does_not_become_so_by_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let notifier = Notifier::to(&path.into_os_string(), None).expect("a socket");
        let mut service = Service::new(notifier.clone());
        service.reloaded();
        notifier.reloading();
        service.ready();
        service.reloaded();
        let begun = received(&manager);
        let micros = begun.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("it comes first");
        assert!(micros.parse::<u64>().expect("a number") > 0);
        assert_eq!([received(&manager), received(&manager)], ["READY=1", "READY=1"]);
    }

    fn received(manager: &UnixDatagram) -> String {
        let mut datagram = [0; 512];
        let len = manager.recv(&mut datagram).expect("a datagram");
        String::from_utf8_lossy(&datagram[..len]).into_owned()
    }
}
