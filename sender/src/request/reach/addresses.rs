//! The addresses of hosts: those that were given, else those that Nova has, else those of the name service.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::relay::Prefix;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::address::HostAddress;

/// What is known of addresses before the name service is asked, and which ones are of use.
#[derive(Clone, Debug)]
pub(crate) struct Known<'a> {
    /// Addresses that an operator has given.
    pub(crate) given: &'a BTreeMap<HostName, HostAddress>,
    /// Addresses that Nova has, by Nova's names.
    pub(crate) nova: &'a BTreeMap<String, IpAddr>,
    /// The network in which addresses of Nova and of the name service have to be; `None` for any.
    pub(crate) network: Option<Prefix>,
    /// The address of the interface, or of the group: of the family that is used, and of loopback if that is used.
    pub(crate) like: IpAddr,
    /// The port at which hosts receive.
    pub(crate) port: u16,
}

/// Addresses of hosts, and why others have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) found: BTreeMap<HostName, SocketAddr>,
    pub(crate) missing: BTreeMap<HostName, NoAddress>,
}

/// Why a host has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// The name service does not know it, or cannot be asked.
    Unknown(String),
    /// It has not answered in time.
    TooLate,
    /// The host has addresses, of which none is of use: this one is the first.
    NotOfUse(IpAddr),
    /// It was given with an address of another family.
    Family(IpAddr),
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => write!(f, "the name service has no address of it: {error}"),
            Self::TooLate => f.write_str("the name service has not answered in time"),
            Self::NotOfUse(ip) => {
                write!(f, "its address {ip} is not in --network, or not of the group's family")
            }
            Self::Family(ip) => write!(f, "its address {ip} is not of the group's family"),
        }
    }
}

impl Known<'_> {
    /// Finds the addresses of hosts. `ask` asks the name service; it is called for hosts without another address only, for
    /// [`ASKED_AT_ONCE`] at a time, and is waited for no longer than `patience` in all.
    pub(crate) async fn find<'n, F, A>(
        &self,
        names: impl Iterator<Item = &'n HostName>,
        patience: Duration,
        ask: F,
    ) -> Addresses
    where
        F: Fn(HostName) -> A + Clone + Send + 'static,
        A: Future<Output = io::Result<Vec<IpAddr>>> + Send,
    {
        let mut addresses = Addresses::default();
        let (mut asked, turns) = (JoinSet::new(), Arc::new(Semaphore::new(ASKED_AT_ONCE)));
        for name in names {
            match self.known(name) {
                Some(result) => addresses.put(name.clone(), result),
                None => {
                    let (name, ask, turns) = (name.clone(), ask.clone(), Arc::clone(&turns));
                    addresses.missing.insert(name.clone(), NoAddress::TooLate);
                    asked.spawn(async move {
                        let _turn = turns.acquire().await;
                        let answer = ask(name.clone()).await;
                        (name, answer)
                    });
                }
            }
        }
        let until = Instant::now() + patience;
        while let Ok(Some(Ok((name, answer)))) = timeout_at(until, asked.join_next()).await {
            let result = match answer {
                Ok(ips) => self.pick(&ips),
                Err(error) => Err(NoAddress::Unknown(error.to_string())),
            };
            addresses.put(name, result);
        }
        addresses
    }

    /// Returns the address of a host, or why it has none; `None` if the name service has to be asked.
    fn known(&self, name: &HostName) -> Option<Result<SocketAddr, NoAddress>> {
        if let Some(given) = self.given.get(name) {
            let addr = given.with_port(self.port);
            let is_possible = addr.is_ipv4() == self.like.is_ipv4();
            return Some(if is_possible { Ok(addr) } else { Err(NoAddress::Family(addr.ip())) });
        }
        let nova = self.nova.get(name.as_str())?;
        self.pick(&[*nova]).ok().map(Ok)
    }

    /// Returns the first address that is of use.
    fn pick(&self, ips: &[IpAddr]) -> Result<SocketAddr, NoAddress> {
        let is_of_use = |ip: &&IpAddr| {
            ip.is_ipv4() == self.like.is_ipv4()
                && self.network.is_none_or(|network| network.contains(**ip))
                // The own name of a machine is often listed with a loopback address (hosts(5) on Debian).
                && ip.is_loopback() == self.like.is_loopback()
                && !ip.is_multicast()
                && !ip.is_unspecified()
        };
        match (ips.iter().find(is_of_use), ips.first()) {
            (Some(&ip), _) => Ok(SocketAddr::new(ip, self.port)),
            (None, Some(&ip)) => Err(NoAddress::NotOfUse(ip)),
            (None, None) => Err(NoAddress::Unknown("no address".into())),
        }
    }
}

impl Addresses {
    fn put(&mut self, name: HostName, result: Result<SocketAddr, NoAddress>) {
        match result {
            Ok(addr) => {
                self.missing.remove(&name);
                self.found.insert(name, addr);
            }
            Err(why) => drop(self.missing.insert(name, why)),
        }
    }
}

/// Asks the name service for the addresses of a host: the system's own, with its files and its order.
pub(crate) async fn ask(name: HostName) -> io::Result<Vec<IpAddr>> {
    let addrs = tokio::net::lookup_host((name.as_str(), 0)).await?;
    Ok(addrs.map(|addr| addr.ip()).collect())
}

/// Questions to the name service at a time. The system's resolver takes a thread for each.
const ASKED_AT_ONCE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_addresses_come_first_then_novas_then_those_of_the_name_service() {
        let found = find(Some("10.1.0.0/16"), &["given", "nova", "named", "unknown"]);
        let addr = |name: &str| found.found.get(&host(name)).map(ToString::to_string);
        assert_eq!(addr("given").as_deref(), Some("192.0.2.9:7200"), "whatever the network");
        assert_eq!(addr("nova").as_deref(), Some("10.1.0.7:7167"));
        assert_eq!(addr("named").as_deref(), Some("10.1.0.8:7167"), "the one in the network");
        assert!(
            matches!(&found.missing[&host("unknown")], NoAddress::Unknown(why) if why.contains("nobody"))
        );
    }

    #[test]
    fn novas_address_in_another_network_leaves_the_word_to_the_name_service() {
        let found = find(Some("10.2.0.0/16"), &["nova", "named"]);
        assert_eq!(found.found[&host("nova")].to_string(), "10.2.0.7:7167");
        assert_eq!(
            found.missing[&host("named")],
            NoAddress::NotOfUse("fd00::8".parse().expect("an address"))
        );
        let any = find(None, &["nova", "named"]);
        assert_eq!(any.found[&host("nova")].to_string(), "10.1.0.7:7167");
        assert_eq!(any.found[&host("named")].to_string(), "192.168.0.8:7167", "the first of the family");
    }

    #[test]
    fn a_name_service_that_does_not_answer_is_not_waited_for() {
        let given = [(host("given"), "10.0.0.1".parse().expect("an address"))].into();
        let nova = BTreeMap::new();
        let known = Known { given: &given, ..known(None, &nova) };
        let names = [host("given"), host("slow")];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let never = |_| std::future::pending::<io::Result<Vec<IpAddr>>>();
        let found = runtime.block_on(known.find(names.iter(), Duration::from_millis(20), never));
        assert_eq!(found.found.len(), 1);
        assert_eq!(found.missing[&host("slow")], NoAddress::TooLate);
    }

    /// Finds addresses with a name service that knows two of the hosts, each with several addresses.
    fn find(network: Option<&str>, names: &[&str]) -> Addresses {
        let given = [(host("given"), "192.0.2.9:7200".parse().expect("an address"))].into();
        let nova = [("nova".to_owned(), IpAddr::from([10, 1, 0, 7]))].into();
        let known = Known { given: &given, ..known(network, &nova) };
        let names: Vec<HostName> = names.iter().map(|name| host(name)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(known.find(names.iter(), Duration::from_secs(10), some))
    }

    async fn some(name: HostName) -> io::Result<Vec<IpAddr>> {
        match name.as_str() {
            "named" => Ok(ips(&["fd00::8", "127.0.1.1", "192.168.0.8", "10.1.0.8"])),
            "nova" => Ok(ips(&["10.2.0.7"])),
            _ => Err(io::Error::other("nobody of this name")),
        }
    }

    fn known<'a>(network: Option<&str>, nova: &'a BTreeMap<String, IpAddr>) -> Known<'a> {
        static NONE: BTreeMap<HostName, HostAddress> = BTreeMap::new();
        Known {
            given: &NONE,
            nova,
            network: network.map(|text| text.parse().expect("a network")),
            like: IpAddr::from([239, 255, 71, 67]),
            port: 7167,
        }
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).expect("a name")
    }
}
