//! The queries of a replacement: a new key for hosts, and the end of the old ones.

use glancecast_platform::clock::wall;
use glancecast_platform::random;
use glancecast_proto::ids::{HostName, SessionId};
use glancecast_proto::limits::AUDIENCE_MAX;
use glancecast_proto::query::{HostAnswer, QuerierConfig};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::Expected;
use glancecast_proto::wire::Query;

use super::{Group, RekeyRequest};
use crate::pipeline::query;
use crate::request::query::answer_bytes_max;
use crate::request::{RequestError, agreement};

/// What hosts are asked.
pub(super) enum Asked {
    /// To take this key.
    NewKey(GroupKey),
    /// To accept superseded keys no longer.
    Retire,
}

impl RekeyRequest {
    /// Asks these hosts, and no others, under this group key.
    pub(super) async fn ask(
        &self,
        group: &mut Group,
        under: &GroupKey,
        hosts: &[HostName],
        asked: Asked,
    ) -> Result<Vec<HostAnswer>, RequestError> {
        let (query, new_key) = match asked {
            Asked::NewKey(key) => (Query::Rekey, Some(key)),
            Asked::Retire => (Query::Retire, None),
        };
        let before = group.interface.take().map_or_else(|| self.network.interface(), Ok)?;
        let interface = self.network.again(&before).await?;
        group.interface = Some(interface.clone());
        let answer_bytes_max = answer_bytes_max(self.network.destinations.ip_header(), interface.mtu);
        let mut rows = Vec::new();
        for hosts in hosts.chunks(AUDIENCE_MAX as usize) {
            let downlink = self.network.open(&interface, usize::from(answer_bytes_max))?;
            let config = QuerierConfig {
                id: SessionId(random::bytes().map_err(RequestError::Random)?),
                key: under.clone(),
                signer: Some(group.signer.clone()),
                agreement: agreement()?,
                known: group.known.clone(),
                query: query.clone(),
                new_key: new_key.clone(),
                reply_to: downlink.local_addr(),
                answer_bytes_max,
                started: wall(),
                wait: self.wait,
                expected: Expected::Named(hosts.iter().cloned().collect()),
            };
            let mut running = query::start(config, downlink, self.network.interface.clone())
                .map_err(RequestError::Start)?;
            running.ended().await;
            let answers = running.join()?;
            group.outages.add(answers.outages);
            rows.extend(answers.rows);
        }
        Ok(rows)
    }
}
