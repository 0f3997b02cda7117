//! The network of this host: the sockets, the interface that they are on, and what becomes of both.
//!
//! Interfaces come late, go, are made anew, and get other addresses. The kernel forgets a membership with its interface,
//! and a switch forgets it after a while. So the interface is looked at every two seconds, and at once when the kernel
//! tells of a change; the sockets are put on it again whenever something differs; and the membership is renewed. None of
//! it touches the path of a packet: a turn of the receive loop compares two times.

mod condition;
mod renewal;
mod unsent;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::interface::{Chosen, Interface, InterfaceError};
use glancecast_platform::links::{Change, LinkState, LinkWatch};
use glancecast_platform::multicast::Membership;
use glancecast_platform::reverse_path::StrictSources;
use glancecast_platform::trains::{Progress, Taken, Train};
use glancecast_platform::transport::{
    Buffer, Destination, Inlet, Listen, Listening, Offload, SocketError, Uplink,
};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::printable;

use crate::observe::NetworkState;
use condition::{Condition, ConditionLog};
use renewal::Renewal;
pub(crate) use unsent::About;
use unsent::Unsent;

/// Which network a host is to be on.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The group, and the only source that it is received from, if there is one.
    pub membership: Membership,
    /// The interface's name or address; `None` for the one of the route to the group.
    pub interface: Option<String>,
    /// Differentiated services code point of the answers, 0 to 63.
    pub dscp: u8,
    /// Whether the kernel may merge datagrams.
    pub offload: Offload,
    /// How often the membership is renewed; `None` for never.
    pub renewal: Option<Duration>,
    /// At which port this host is reached at its own address.
    pub listen: Listen,
    /// How this host forwards as a relay; `None` where it never does.
    pub forwarding: Option<Forwarding>,
}

/// How a host forwards what it gets by unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// The name or address of the interface whose network gets the group's datagrams; `None` for the one on which the
    /// host hears the group.
    pub interface: Option<String>,
}

/// The network of this host.
pub struct Network {
    config: NetworkConfig,
    uplink: Uplink,
    watch: Option<LinkWatch>,
    /// The interface that the sockets are on.
    on: Option<Interface>,
    /// What the look at the start found, for the first turn of the receive loop.
    attached: Tended,
    /// Whether what the kernel keeps for the sockets may be gone.
    is_stale: bool,
    is_broken: bool,
    condition: Condition,
    log: ConditionLog,
    renewal: Renewal,
    unsent: Unsent,
    /// Whether the log says that the group's port could not be had.
    is_refusal_said: bool,
    check_at: Moment,
    look_at: Moment,
}

/// What a look at the network has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tended {
    /// Nothing.
    Same,
    /// The sockets are on this interface, as they were not before.
    Attached(Interface),
}

impl Tended {
    fn or(self, earlier: Self) -> Self {
        if self == Self::Same { earlier } else { self }
    }
}

impl Network {
    /// Opens the sockets while the process has its rights, and puts them on the interface if it is there. If not, the
    /// receive loop does so as soon as it is.
    ///
    /// # Errors
    /// [`NetworkError`] for what time does not mend.
    pub fn open(config: NetworkConfig) -> Result<Self, NetworkError> {
        match Interface::choose(config.interface.as_deref(), config.membership.group()) {
            Err(error) if !error.may_pass() => return Err(error.into()),
            _ => {}
        }
        let uplink = Uplink::detached(config.membership, config.dscp, config.offload, config.listen)?;
        let watch = LinkWatch::start()
            .inspect_err(|error| tracing::debug!(%error, "changes of interfaces are looked for, not told"))
            .ok();
        let renewal = Renewal::new(config.renewal);
        let mut network = Self {
            config,
            uplink,
            watch,
            on: None,
            attached: Tended::Same,
            is_stale: false,
            is_broken: false,
            condition: Condition::NotYet,
            log: ConditionLog::default(),
            renewal,
            unsent: Unsent::default(),
            is_refusal_said: false,
            check_at: Moment::default(),
            look_at: Moment::default() + LOOK_GAP,
        };
        // Before Linux 5.7 an IPv6 socket is put on an interface only with CAP_NET_RAW.
        network.attached = network.look(Moment::default());
        Ok(network)
    }

    /// Returns the size of the receive buffer for datagrams to everyone.
    pub(crate) fn buffer(&self) -> Buffer {
        self.uplink.buffer()
    }

    /// Returns the interface that the sockets are on.
    pub(crate) fn on(&self) -> Option<&Interface> {
        self.on.as_ref()
    }

    /// Returns the group.
    pub(crate) fn group(&self) -> SocketAddr {
        self.config.membership.group().addr()
    }

    /// Leaves the group and joins it again, which reports the membership to the network.
    pub(crate) fn join_again(&mut self, now: Moment) {
        self.renew(now);
    }

    /// Returns the only source that the group is received from; `None` for any.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.uplink.source()
    }

    /// Returns the sockets to sleep on.
    pub(crate) fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        self.uplink.sockets()
    }

    /// Receives queued datagrams without blocking. Returns the number of messages. A socket that fails is opened anew at
    /// the next look.
    pub(crate) fn receive(&mut self, inlet: Inlet, batch: &mut Batch) -> usize {
        match self.uplink.receive(inlet, batch) {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, ?inlet, "a socket fails");
                self.is_broken = true;
                0
            }
        }
    }

    /// Notes that datagrams of the group have come.
    pub(crate) fn note_heard(&mut self, now: Moment) {
        self.renewal.note_heard(now);
    }

    /// Sends one datagram to a sender. What cannot be sent is lost, as on the way: the machines repeat what matters.
    pub(crate) fn send(&mut self, now: Moment, datagram: &[u8], to: SocketAddr, about: About) {
        let sent = self.uplink.send(datagram, to);
        // Without an interface there is a line in the log already.
        if self.condition.is_fine() {
            self.unsent.note(now, to, about, sent);
        }
    }

    /// Sends the rest of a train to the destinations, without blocking.
    pub(crate) fn forward(
        &mut self,
        train: &Train<'_>,
        to: &[Destination],
        progress: &mut Progress,
    ) -> Taken {
        self.uplink.forward(train, to, progress)
    }

    /// Returns the form in which [`forward`](Self::forward) takes a destination.
    pub(crate) fn destination(&self, to: SocketAddr) -> Destination {
        self.uplink.destination(to)
    }

    /// Returns where this host is reached at its own address.
    pub(crate) fn listening(&self) -> Listening {
        self.uplink.listening()
    }

    /// Returns how this host is connected, for its status.
    pub(crate) fn state(&self, heard_ms: Option<u64>) -> NetworkState {
        NetworkState {
            group: String::new(),
            listening: self.condition.is_fine(),
            interface: self.on.as_ref().map(|on| format!("{} ({})", printable(&on.name), on.addr)),
            trouble: self.condition.trouble(),
            unicast: self.listening().to_string(),
            heard_ms,
        }
    }

    /// Looks after the network. A call costs a comparison until the next look is due. `in_session` says whether the
    /// group's datagrams are awaited.
    pub(crate) fn tend(&mut self, now: Moment, in_session: bool) -> Tended {
        if now < self.check_at {
            return Tended::Same;
        }
        self.check_at = now + CHECK_GAP;
        let change = self.changes();
        self.is_stale |= change == Change::Removed;
        let mut tended = std::mem::replace(&mut self.attached, Tended::Same);
        if change > Change::None || self.is_broken || now >= self.look_at {
            self.look_at = now + LOOK_GAP;
            tended = self.look(now).or(tended);
        }
        if self.condition.is_joined() && self.renewal.is_due(now, in_session) {
            self.renew(now);
        }
        self.log.say(now, &self.condition);
        tended
    }

    fn changes(&mut self) -> Change {
        let index = self.on.as_ref().map(|on| on.index);
        self.watch.as_mut().map_or(Change::None, |watch| watch.changes(index))
    }

    /// Looks at the interface, and puts the sockets on it if anything differs from what they are on.
    fn look(&mut self, now: Moment) -> Tended {
        if self.is_broken {
            self.reopen();
        }
        let found = match self.choose() {
            Ok(found) => found,
            Err(error) => {
                self.condition = Condition::missing(&error);
                return Tended::Same;
            }
        };
        let differs = self.on.as_ref().is_none_or(|on| !is_same(on, &found));
        let next = condition(&found);
        let is_back = next.is_fine() && !self.condition.is_fine() || !self.condition.is_joined();
        let mut tended = Tended::Same;
        if differs || self.is_stale || is_back {
            if let Err(error) = self.uplink.attach(&found).and_then(|()| self.prepare_forwarding(&found)) {
                self.condition = Condition::NotJoined(found.name.clone(), error.to_string());
                return Tended::Same;
            }
            self.renewal.note_renewed(now);
            if differs {
                self.warn_of(&found);
                self.warn_of_refused_port();
                tended = Tended::Attached(found.clone());
            }
        }
        let anew = std::mem::take(&mut self.is_stale);
        self.condition = self.condition.after(next, anew);
        self.on = Some(found);
        tended
    }

    /// Has what this host forwards to the group leave through its interface, which may come later than the one that the
    /// host hears the group on.
    fn prepare_forwarding(&self, on: &Interface) -> Result<(), SocketError> {
        let Some(forwarding) = &self.config.forwarding else { return Ok(()) };
        let through = forwarding.interface.as_deref().map(|name| {
            Interface::find(name, self.config.membership.group())
                .inspect_err(|error| tracing::warn!("[relay] interface: {error}"))
        });
        match through {
            None => self.uplink.forward_through(on),
            Some(Ok(through)) => self.uplink.forward_through(&through),
            // It is looked for again when the interface changes; the children get their copies meanwhile.
            Some(Err(_)) => Ok(()),
        }
    }

    /// Returns the interface of the configuration as it is at the moment.
    fn choose(&self) -> Result<Interface, InterfaceError> {
        let group = self.config.membership.group();
        match (Interface::choose(self.config.interface.as_deref(), group), &self.on) {
            // The default route is gone for a while, and this machine alone is left.
            (Ok(found), Some(on))
                if found.chosen == Chosen::ByRoute && found.is_loopback() && !on.is_loopback() =>
            {
                on.under_its_name().ok_or(InterfaceError::NoRoute { to: group.addr() })
            }
            // It goes by another name, or no route leads to the group meanwhile: it is what was meant.
            (Err(error @ (InterfaceError::Unknown { .. } | InterfaceError::NoRoute { .. })), Some(on)) => {
                on.under_its_name().ok_or(error)
            }
            // The kernel prefers another address of it by now. Senders know this one.
            (Ok(found), Some(on)) if found.index == on.index && !is_better(found.addr, on.addr) => {
                Ok(on.under_its_name().unwrap_or(found))
            }
            (chosen, _) => chosen,
        }
    }

    /// Reports the membership to the network once more.
    fn renew(&mut self, now: Moment) {
        self.renewal.note_renewed(now);
        let Some(on) = &self.on else { return };
        match self.uplink.attach(on) {
            Ok(()) => tracing::debug!(interface = %on, "the membership is renewed"),
            Err(error) => self.condition = Condition::NotJoined(on.name.clone(), error.to_string()),
        }
    }

    fn reopen(&mut self) {
        match self.uplink.reopen() {
            Ok(()) => {
                tracing::warn!("the system has closed the sockets, which are open again");
                (self.is_broken, self.on) = (false, None);
            }
            Err(error) => tracing::debug!(%error, "the sockets cannot be opened again"),
        }
    }

    /// Warns of what keeps an interface from hearing senders.
    fn warn_of(&self, interface: &Interface) {
        if interface.chosen == Chosen::ByRoute && interface.is_loopback() {
            tracing::warn!("{LOOPBACK}");
        }
        if let Some(strict) = StrictSources::of(interface, self.uplink.source()) {
            tracing::warn!("{strict}");
        }
    }
}

impl Network {
    /// Warns, once for as long as it lasts, that this host is reached by multicast alone.
    fn warn_of_refused_port(&mut self) {
        let Listening::Refused(wanted, kind) = self.uplink.listening() else {
            self.is_refusal_said = false;
            return;
        };
        if std::mem::replace(&mut self.is_refusal_said, true) {
            return;
        }
        let port = wanted.port();
        match kind {
            io::ErrorKind::AddrInUse => tracing::warn!(
                "another program has {wanted}, so that this host hears pushes by multicast alone, and relays nothing: \
                 `ss -lunp 'sport = :{port}'` names it. Another glancecastd needs a group with another port (--group), a \
                 glancecast another --reply-port, any other program another port; then restart this one. listen = \
                 \"none\" does without, and without this line"
            ),
            kind => tracing::warn!(
                "{wanted} cannot be had ({kind}), so that this host hears pushes by multicast alone, and relays nothing; \
                 listen = \"none\" does without, and without this line"
            ),
        }
    }
}

/// Why a host cannot be on its network, whatever happens.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The interface cannot be chosen.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The sockets cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Whether sockets on one interface are on the other, too.
fn is_same(a: &Interface, b: &Interface) -> bool {
    // The speed changes with the link's state, and matters to nothing here.
    (a.index, a.addr, a.mtu) == (b.index, b.addr, b.mtu)
}

/// Whether senders beyond the link can be answered from `new`, and not from `old`; or if both are the same address, as
/// there is nothing to choose.
fn is_better(new: IpAddr, old: IpAddr) -> bool {
    let is_link_local = |addr| match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    };
    new == old || is_link_local(old) && !is_link_local(new)
}

/// Returns the condition of sockets on this interface.
fn condition(on: &Interface) -> Condition {
    match on.standing() {
        Err(error) => Condition::missing(&InterfaceError::List(error)),
        Ok(standing) => match (standing.port_of, standing.state) {
            (Some(of), _) => Condition::Port { interface: on.name.clone(), of },
            (None, LinkState::Down) => Condition::Down(on.name.clone()),
            (None, LinkState::NoCarrier) => Condition::NoCarrier(on.name.clone()),
            (None, LinkState::Up) => Condition::Fine { on: on.clone(), times: 0 },
        },
    }
}

/// Time between two looks at what the kernel tells. It bounds how long a change goes unnoticed during a push, and what
/// a node's many other interfaces cost.
const CHECK_GAP: Duration = Duration::from_millis(250);

/// Time between two looks at the interface without a change that the kernel tells of. A look takes 30 us.
const LOOK_GAP: Duration = Duration::from_secs(2);

const LOOPBACK: &str = "the routing table sends the group to the loopback interface, where no other machine is heard: \
                        name the interface with --interface";
