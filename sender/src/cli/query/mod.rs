//! `glancecast hosts`, `status`, `verify`, `unpin`: a query to the group, and what its hosts say.

mod outcome;
mod report;
mod table;

use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_platform::interface::Interface;
use glancecast_platform::random;
use glancecast_platform::transport::{Downlink, Marking};
use glancecast_proto::ids::{ObjectName, SessionId};
use glancecast_proto::limits::{CONTROL_MAX, CONTROL_SMALL};
use glancecast_proto::query::{QuerierConfig, Tally};
use glancecast_proto::sender::Expected;
use glancecast_proto::wire::{Query, Sought, is_image_id};
use indicatif::BinaryBytes;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::Failure;
use super::args::{About, Asking as Args, Hosts as HostsArgs};
use super::expected::Hosts;
use super::json;
use super::notices::INSECURE;
use super::origin::cloud_failure;
use super::send::{Signals, group_key};
use crate::openstack::{Cloud, CloudError};
use crate::pipeline::query::{Asked, Asking};
use outcome::Outcome;

/// Who listens, and what they hold.
pub(super) fn hosts(args: &HostsArgs) -> Result<u8, Failure> {
    run(&args.asking, None, |_| Query::Hosts)
}

/// Who holds an image.
pub(super) fn status(args: &About) -> Result<u8, Failure> {
    run(&args.asking, Some(&args.image), |sought| Query::Status(sought.expect("asked of an image")))
}

/// Whether the copies of an image are what they were.
pub(super) fn verify(args: &About) -> Result<u8, Failure> {
    run(&args.asking, Some(&args.image), |sought| Query::Verify(sought.expect("asked of an image")))
}

/// Lets go of an image.
pub(super) fn unpin(args: &About) -> Result<u8, Failure> {
    run(&args.asking, Some(&args.image), |sought| Query::Unpin(sought.expect("asked of an image")))
}

fn run(args: &Args, image: Option<&str>, query: fn(Option<Sought>) -> Query) -> Result<u8, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(ask(args, image, query))
}

async fn ask(args: &Args, image: Option<&str>, query: fn(Option<Sought>) -> Query) -> Result<u8, Failure> {
    let key = group_key(args.key.as_deref(), args.insecure)?;
    let destinations = args.network.destinations();
    let interface =
        Interface::choose(args.network.interface.as_deref(), destinations.first()).map_err(Failure::usage)?;
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let (hosts, sought) = tokio::select! {
        found = find(args, image) => found?,
        () = signals.next() => return Err(Failure::failed("interrupted before anything was asked")),
    };
    let answer_bytes_max = answer_bytes_max(destinations.ip_header(), interface.mtu);
    let marking = Marking { ttl: args.network.ttl, dscp: args.dscp };
    let segment = usize::from(answer_bytes_max);
    let reply_port = args.network.reply_port;
    let downlink = Downlink::open(destinations.clone(), &interface, reply_port, marking, segment)
        .map_err(|error| Failure::failed(format!("interface {}: {error}", interface.name)))?;
    let config = QuerierConfig {
        id: SessionId(random::bytes().map_err(Failure::failed)?),
        key,
        query: query(sought),
        reply_to: downlink.local_addr(),
        answer_bytes_max,
        started: wall(),
        wait: args.wait,
        expected: hosts.expected.clone(),
    };
    if args.insecure {
        tracing::warn!("{INSECURE}");
    }
    let asked = follow(config.clone(), downlink, &mut signals).await?;
    tracing::debug!("discarded datagrams from hosts by reason: {}", asked.discards);
    let outcome = Outcome::new(&config.query, &hosts, asked);
    if args.json {
        let report = report::Report::new(&config, &destinations, &interface, &outcome);
        println!("{}", json::to_string(&report));
    } else {
        print!("{}", table::table(&config.query, &outcome));
    }
    Ok(outcome.exit_code())
}

/// Who should answer, and which image is meant.
async fn find(args: &Args, image: Option<&str>) -> Result<(Hosts, Option<Sought>), Failure> {
    let cloud = match args.wanted().asks_nova() || args.os_cloud.is_some() {
        true => Some(Cloud::connect(args.os_cloud.as_deref()).await.map_err(cloud_failure)?),
        false => None,
    };
    let hosts = Hosts::find(args.wanted(), cloud.as_ref()).await?;
    let sought = match (image, &cloud) {
        (None, _) => None,
        (Some(image), Some(cloud)) if !is_image_id(&image.to_ascii_lowercase()) => {
            Some(in_glance(cloud, image).await?)
        }
        (Some(image), _) => Some(as_given(image)?),
    };
    Ok((hosts, sought))
}

/// By its id too, so that an older image of the same name is not meant. What Glance does not have, or not any more, may be
/// on the hosts all the same.
async fn in_glance(cloud: &Cloud, image: &str) -> Result<Sought, Failure> {
    let record = match cloud.find_image(image).await {
        Ok(record) => record,
        Err(
            CloudError::UnknownImage { .. } | CloudError::NotActive { .. } | CloudError::BadImageId { .. },
        ) => return as_given(image),
        Err(error) => return Err(cloud_failure(error)),
    };
    let name = record.name.as_deref().and_then(|name| ObjectName::new(name).ok());
    let name = name.or_else(|| ObjectName::new(&record.id).ok());
    Ok(Sought::new(name, Some(record.id)).expect("it has an id that hosts know"))
}

fn as_given(image: &str) -> Result<Sought, Failure> {
    let name = ObjectName::new(image).map_err(|error| {
        Failure::usage(format!("{image:?} cannot be the name of an image on the hosts: {error}"))
    })?;
    let id = image.to_ascii_lowercase();
    let id = is_image_id(&id).then_some(id);
    Ok(Sought::new(Some(name), id).expect("there is a name"))
}

/// Runs the query to its end, and says meanwhile what it waits for.
async fn follow(config: QuerierConfig, downlink: Downlink, signals: &mut Signals) -> Result<Asked, Failure> {
    let (ended, mut end) = oneshot::channel();
    let expected = config.expected.clone();
    let asking = Asking::start(config, downlink, move || {
        let _ = ended.send(());
    })
    .map_err(|error| Failure::failed(format!("cannot ask: {error}")))?;
    let mut ticks = tokio::time::interval(PROGRESS_GAP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = &mut end => break,
            () = signals.next() => asking.stop(),
            _ = ticks.tick() => tell(asking.tally(), &expected),
        }
    }
    asking.join().map_err(|error| {
        Failure::failed(format!("cannot send to the group: {error}; check the interface and its routes"))
    })
}

/// Hashing takes as long as reading does: who waits is told, once in a while.
fn tell(tally: Tally, expected: &Expected) {
    if tally.verifying == 0 {
        return;
    }
    let of = match expected {
        Expected::Named(names) => names.len(),
        Expected::Count(count) => *count as usize,
        Expected::Anyone => tally.heard as usize,
    };
    eprintln!(
        "{} of {of} hosts have answered, {} verify: {} of {}",
        tally.settled,
        tally.verifying,
        BinaryBytes(tally.hashed),
        BinaryBytes(tally.to_hash),
    );
}

/// What fits the smallest MTU that IPv6 has (RFC 8200 §5), which every path lets through; less where the interface's own
/// is smaller.
fn answer_bytes_max(ip_header: u16, mtu: u32) -> u16 {
    let bytes = (mtu.min(1_280) as usize).saturating_sub(usize::from(ip_header) + 8);
    bytes.clamp(CONTROL_SMALL, CONTROL_MAX) as u16
}

const PROGRESS_GAP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_by_its_form_and_may_also_be_a_name() {
        let id = "4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44";
        let sought = as_given(id).expect("possible");
        assert_eq!(sought.image_id(), Some("4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44"));
        assert!(sought.matches(id, None));
        assert_eq!(as_given("ubuntu-24.04").expect("possible").image_id(), None);
        assert!(as_given("../etc/passwd").is_err());
    }

    #[test]
    fn answers_fit_every_path() {
        for (ip_header, mtu, bytes) in [(20, 9000, 1_252), (40, 1500, 1_232), (20, 576, 548)] {
            assert_eq!(answer_bytes_max(ip_header, mtu), bytes);
        }
    }
}
