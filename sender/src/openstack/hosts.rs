//! Selects the hosts that should hold an image by aggregates and availability zones. Pure: the input is Nova's answers.
//! The services of bare-metal nodes (Ironic) are hosts of a zone too, and no guest boots there from an image cache.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

use super::error::{CloudError, shown};

/// A set of compute hosts that an administrator has defined.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Aggregate {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) hosts: Vec<String>,
}

/// The nova-compute service of one host.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ComputeService {
    pub(crate) host: String,
    pub(crate) zone: String,
    /// `enabled` or `disabled`, set by an administrator.
    status: String,
    /// `up` or `down`, as Nova observes it.
    state: String,
    disabled_reason: Option<String>,
}

impl ComputeService {
    /// Whether Nova does not hear the service, whatever an administrator has set.
    pub(super) fn is_down(&self) -> bool {
        self.state != "up"
    }

    /// Returns why Nova would not start instances on this host now; `None` if it would.
    pub(crate) fn out_of_use(&self) -> Option<String> {
        match (self.status.as_str(), self.state.as_str(), self.disabled_reason.as_deref()) {
            ("enabled", "up", _) => None,
            ("enabled", state, _) => Some(format!("its nova-compute is {state}")),
            (status, _, Some(reason)) if !reason.is_empty() => Some(format!("{status} in Nova: {reason}")),
            (status, ..) => Some(format!("{status} in Nova")),
        }
    }
}

/// A node on which instances run. Ironic has one for each of its machines, all of one service.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Hypervisor {
    hypervisor_type: Option<String>,
    /// The address of `my_ip` in its nova.conf, which is of the network for management in most clouds.
    host_ip: Option<String>,
    service: HypervisorService,
}

#[derive(Clone, Debug, Deserialize)]
struct HypervisorService {
    host: String,
}

/// Returns the hosts of the services that run bare-metal nodes.
pub(super) fn bare_metal(hypervisors: &[Hypervisor]) -> BTreeSet<String> {
    let is_ironic = |node: &&Hypervisor| {
        node.hypervisor_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("ironic"))
    };
    hypervisors.iter().filter(is_ironic).map(|node| node.service.host.clone()).collect()
}

/// Returns the addresses of hosts, by Nova's names. What is no address of one host is left out: a node chooses it itself.
pub(super) fn addresses(hypervisors: &[Hypervisor]) -> BTreeMap<String, IpAddr> {
    let address = |node: &Hypervisor| {
        let ip: IpAddr = node.host_ip.as_deref()?.parse().ok()?;
        let is_of_a_host = !ip.is_multicast() && !ip.is_unspecified() && ip != IpAddr::from([255; 4]);
        is_of_a_host.then(|| (node.service.host.clone(), ip))
    };
    hypervisors.iter().filter_map(address).collect()
}

/// The hosts that were chosen in Nova.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Hosts that are enabled and up, by Nova's names.
    pub(crate) hosts: BTreeSet<String>,
    /// Chosen hosts that are left out, each with the reason.
    pub(crate) skipped: BTreeMap<String, String>,
    /// The chosen aggregates, for the call that caches an image.
    pub(crate) aggregates: Vec<Aggregate>,
    /// Addresses of hosts, chosen or not.
    pub(crate) addresses: BTreeMap<String, IpAddr>,
}

/// Returns the hosts in any of the named aggregates and zones.
///
/// # Errors
/// `UnknownAggregate` and `UnknownZone` list those that exist; `NoHostChosen` if no host is left.
pub(super) fn choose(
    aggregates: &[String],
    zones: &[String],
    all: Vec<Aggregate>,
    services: &[ComputeService],
    bare_metal: &BTreeSet<String>,
) -> Result<Choice, CloudError> {
    let known_aggregates: BTreeSet<&str> = all.iter().map(|aggregate| aggregate.name.as_str()).collect();
    let known_zones: BTreeSet<&str> = services.iter().map(|service| service.zone.as_str()).collect();
    if let Some(wanted) = aggregates.iter().find(|name| !known_aggregates.contains(name.as_str())) {
        let known = listed(&known_aggregates);
        return Err(CloudError::UnknownAggregate { wanted: wanted.clone(), known });
    }
    if let Some(wanted) = zones.iter().find(|name| !known_zones.contains(name.as_str())) {
        return Err(CloudError::UnknownZone { wanted: wanted.clone(), known: listed(&known_zones) });
    }
    let by_host: BTreeMap<&str, &ComputeService> =
        services.iter().map(|service| (service.host.as_str(), service)).collect();
    let in_zones = services.iter().filter(|service| zones.contains(&service.zone));
    let mut wanted: BTreeSet<String> = in_zones.map(|service| service.host.clone()).collect();
    let chosen: Vec<Aggregate> =
        all.into_iter().filter(|aggregate| aggregates.contains(&aggregate.name)).collect();
    wanted.extend(chosen.iter().flat_map(|aggregate| aggregate.hosts.iter().cloned()));

    let mut choice = Choice { aggregates: chosen, ..Choice::default() };
    for host in wanted {
        let reason = match by_host.get(host.as_str()) {
            _ if bare_metal.contains(&host) => Some(BARE_METAL.to_owned()),
            Some(service) => service.out_of_use(),
            None => Some("has no nova-compute service".to_owned()),
        };
        match reason {
            Some(reason) => drop(choice.skipped.insert(host, shown(&reason))),
            None => drop(choice.hosts.insert(host)),
        }
    }
    if choice.hosts.is_empty() {
        return Err(CloudError::NoHostChosen { skipped: skipped(&choice.skipped) });
    }
    Ok(choice)
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "none at all".to_owned();
    }
    cut(names.iter().map(|name| format!("`{}`", shown(name))))
}

fn skipped(hosts: &BTreeMap<String, String>) -> String {
    if hosts.is_empty() {
        return "there is no host in it".to_owned();
    }
    cut(hosts.iter().map(|(host, reason)| format!("{} {reason}", shown(host))))
}

fn cut(items: impl Iterator<Item = String>) -> String {
    let mut items = items.collect::<Vec<_>>();
    if items.len() > LISTED_MAX {
        items.truncate(LISTED_MAX);
        items.push("..".to_owned());
    }
    items.join(", ")
}

/// Why the service of bare-metal nodes is left out.
const BARE_METAL: &str = "runs bare-metal nodes (hypervisor type ironic), which have no image cache";

/// The maximum number of items in a message, so that it stays within a few lines of a terminal.
const LISTED_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::error::CloudErrorKind;
    use super::*;

    /// Returns c1 and c2 in zone az-a, c3 and c4 in zone nova; c2 is disabled, c4 down.
    fn cloud() -> (Vec<Aggregate>, Vec<ComputeService>) {
        let aggregates = json!([
            {"id": 1, "name": "gpu", "hosts": ["c1", "c2"], "availability_zone": "az-a"},
            {"id": 2, "name": "ssd", "hosts": ["c1", "c3", "gone"]},
            {"id": 3, "name": "empty", "hosts": []},
            {"id": 4, "name": "sick", "hosts": ["c2", "c4"]}]);
        let services = json!([
            {"host": "c1", "zone": "az-a", "status": "enabled", "state": "up", "disabled_reason": null},
            {"host": "c2", "zone": "az-a", "status": "disabled", "state": "up", "disabled_reason": "fan"},
            {"host": "c3", "zone": "nova", "status": "enabled", "state": "up", "disabled_reason": null},
            {"host": "c4", "zone": "nova", "status": "enabled", "state": "down", "disabled_reason": null}]);
        (serde_json::from_value(aggregates).unwrap(), serde_json::from_value(services).unwrap())
    }

    fn chosen(aggregates: &[&str], zones: &[&str]) -> Result<Choice, CloudError> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (all, services) = cloud();
        choose(&owned(aggregates), &owned(zones), all, &services, &BTreeSet::new())
    }

    fn hosts(choice: &Choice) -> Vec<&str> {
        choice.hosts.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_disabled_host_of_an_aggregate_is_left_out_and_named() {
        let choice = chosen(&["gpu"], &[]).unwrap();
        assert_eq!(hosts(&choice), ["c1"]);
        assert_eq!(choice.skipped["c2"], "disabled in Nova: fan");
        assert_eq!(choice.aggregates[0].id, 1);
    }

    #[test]
    fn aggregates_and_zones_are_united() {
        let choice = chosen(&["gpu", "ssd"], &["nova"]).unwrap();
        assert_eq!(hosts(&choice), ["c1", "c3"]);
        let skipped: Vec<&str> = choice.skipped.keys().map(String::as_str).collect();
        assert_eq!(skipped, ["c2", "c4", "gone"]);
        assert_eq!(choice.aggregates.len(), 2);
    }

    #[test]
    fn services_of_bare_metal_nodes_are_left_out_and_named() {
        let (all, services) = cloud();
        let hypervisors: Vec<Hypervisor> = serde_json::from_value(json!([
            {"hypervisor_type": "QEMU", "service": {"host": "c1", "id": 1, "disabled_reason": null}},
            {"hypervisor_type": "ironic", "service": {"host": "c3", "id": 3, "disabled_reason": null}},
            {"hypervisor_type": "ironic", "service": {"host": "c3", "id": 3, "disabled_reason": null}},
            {"service": {"host": "c4", "id": 4}}]))
        .unwrap();
        let bare_metal = bare_metal(&hypervisors);
        let choice =
            choose(&["ssd".to_owned()], &["az-a".to_owned()], all.clone(), &services, &bare_metal).unwrap();
        assert_eq!(hosts(&choice), ["c1"]);
        assert!(choice.skipped["c3"].contains("hypervisor type ironic"), "{:?}", choice.skipped);
        let error = choose(&[], &["nova".to_owned()], all, &services, &bare_metal).unwrap_err().to_string();
        assert!(error.contains("c3 runs bare-metal nodes"), "{error}");
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let text = chosen(&["gpus"], &[]).unwrap_err().to_string();
        assert!(text.contains("`gpus`") && text.contains("`empty`, `gpu`, `sick`, `ssd`"), "{text}");
        let text = chosen(&[], &["az-b"]).unwrap_err().to_string();
        assert!(text.contains("`az-b`") && text.contains("`az-a`, `nova`"), "{text}");
    }

    #[test]
    fn an_aggregate_with_nobody_to_send_to_is_refused_with_the_reasons() {
        let error = chosen(&["empty"], &[]).unwrap_err();
        assert!(error.to_string().contains("no host in it"), "{error}");
        let error = chosen(&["sick"], &[]).unwrap_err();
        assert!(
            error.to_string().contains("c2 disabled in Nova: fan, c4 its nova-compute is down"),
            "{error}"
        );
        assert_eq!(error.kind(), CloudErrorKind::Usage);
    }
}
