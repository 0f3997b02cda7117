//! Nova: aggregates, availability zones and the state of compute services; and the call that caches an image on an
//! aggregate.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{CloudError, json_fault};
use super::hosts::{Aggregate, Choice, ComputeService, Hypervisor, addresses, bare_metal, choose};
use super::http::{Answer, Repeat};
use super::session::{Api, Cloud};

/// A client for Nova at the address in this project's catalog.
#[derive(Clone, Debug)]
pub(crate) struct Nova {
    cloud: Cloud,
    api: Api,
}

impl Nova {
    /// Finds Nova in the settings or the catalog.
    ///
    /// # Errors
    /// `NoEndpoint`, `BadEndpoint`, `SeveralRegions`, `BadSettings`.
    pub(crate) fn of(cloud: &Cloud) -> Result<Self, CloudError> {
        let listed = cloud.nova()?;
        let api = listed.at(compute_api(listed.url.clone()));
        Ok(Self { cloud: cloud.clone(), api })
    }

    /// Returns all aggregates.
    ///
    /// # Errors
    /// `NovaForbidden` if the user may not list them, `Status`, `BadAnswer`, and those of [`Cloud::ask`].
    pub(crate) async fn aggregates(&self) -> Result<Vec<Aggregate>, CloudError> {
        #[derive(Deserialize)]
        struct List {
            aggregates: Vec<Aggregate>,
        }
        let list: List = self.list("os-aggregates", "list host aggregates").await?;
        Ok(list.aggregates)
    }

    /// Returns the nova-compute services of all hosts.
    ///
    /// # Errors
    /// Those of `aggregates`.
    pub(crate) async fn compute_services(&self) -> Result<Vec<ComputeService>, CloudError> {
        #[derive(Deserialize)]
        struct List {
            services: Vec<ComputeService>,
        }
        let list: List = self.list("os-services?binary=nova-compute", "list compute services").await?;
        Ok(list.services)
    }

    /// Returns the nodes on which instances run. They are unknown if this user may not list them: then hosts with bare-metal
    /// nodes are expected, which `--exclude` leaves out, and no host has an address of Nova's.
    async fn hypervisors(&self) -> Vec<Hypervisor> {
        #[derive(Deserialize)]
        struct List {
            hypervisors: Vec<Hypervisor>,
        }
        match self.list::<List>("os-hypervisors/detail", "list hypervisors").await {
            Ok(list) => list.hypervisors,
            Err(error) => {
                tracing::info!(
                    "which hosts run bare-metal nodes, and hosts' addresses, are not known: {error}"
                );
                Vec::new()
            }
        }
    }

    /// Returns the hosts of the services that run bare-metal nodes; none if this user may not list hypervisors.
    pub(super) async fn bare_metal(&self) -> BTreeSet<String> {
        bare_metal(&self.hypervisors().await)
    }

    /// Returns the addresses of all hosts that Nova has any of, by Nova's names.
    pub(crate) async fn addresses(&self) -> BTreeMap<String, IpAddr> {
        addresses(&self.hypervisors().await)
    }

    /// Returns the hosts of the named aggregates and zones, both those in use and those that are not.
    ///
    /// # Errors
    /// `UnknownAggregate`, `UnknownZone`, `NoHostChosen`, and those of `aggregates`.
    pub(crate) async fn choose(&self, aggregates: &[String], zones: &[String]) -> Result<Choice, CloudError> {
        // Aggregates are not listed without need: not every user who may list services may list aggregates.
        let all = if aggregates.is_empty() { Vec::new() } else { self.aggregates().await? };
        let services = self.compute_services().await?;
        let hypervisors = self.hypervisors().await;
        let choice = choose(aggregates, zones, all, &services, &bare_metal(&hypervisors))?;
        Ok(Choice { addresses: addresses(&hypervisors), ..choice })
    }

    /// Makes Nova cache an image on the hosts of an aggregate. Nova only accepts the request; each host's result is in
    /// its logs.
    ///
    /// # Errors
    /// `NovaTooOld`, `NovaRefusedImage`, and those of `aggregates`.
    pub(crate) async fn cache_image(&self, aggregate: u64, image_id: &str) -> Result<(), CloudError> {
        let path = format!("os-aggregates/{aggregate}/images");
        let body = json!({"cache": [{"id": image_id}]});
        let answer = self.ask(Method::POST, &path, Some((&body, CACHE_VERSION))).await?;
        match answer.status {
            StatusCode::ACCEPTED | StatusCode::OK => Ok(()),
            StatusCode::NOT_ACCEPTABLE => {
                Err(CloudError::NovaTooOld { peer: self.api.peer.to_string(), version: CACHE_VERSION })
            }
            StatusCode::BAD_REQUEST => Err(CloudError::NovaRefusedImage { id: image_id.to_owned() }),
            status => Err(self.refused(status, "cache images on an aggregate")),
        }
    }

    async fn list<T: DeserializeOwned>(&self, path: &str, what: &'static str) -> Result<T, CloudError> {
        let answer = self.ask(Method::GET, path, None).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(answer.status, what));
        }
        serde_json::from_slice(&answer.body).map_err(|error| CloudError::BadAnswer {
            peer: self.api.peer.to_string(),
            what: "a list",
            reason: json_fault(&error),
        })
    }

    /// Sends one request, and repeats it with a new token if the old one was refused. A body comes with a microversion.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&Value, &'static str)>,
    ) -> Result<Answer, CloudError> {
        let Api { url, peer } = &self.api;
        // An order whose answer was lost may have been carried out.
        let repeat = if method == Method::GET { Repeat::Yes } else { Repeat::No };
        let url = url.join(path).expect("a relative path");
        let mut request = self.cloud.request(peer, method, url)?.timeout(ANSWER_TIMEOUT);
        if let Some((body, version)) = body {
            request = request
                .header("OpenStack-API-Version", format!("compute {version}"))
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        self.cloud.ask(peer, request, repeat).await
    }

    fn refused(&self, status: StatusCode, what: &'static str) -> CloudError {
        let peer = &self.api.peer;
        match (status, self.cloud.hint()) {
            (StatusCode::FORBIDDEN, None) => {
                CloudError::NovaForbidden { peer: peer.to_string(), what, origin: self.cloud.origin() }
            }
            (other, _) => self.cloud.refused(peer, other),
        }
    }
}

/// Returns the API's address for that of the catalog, which is `.../v2.1`, in old clouds with the project's id
/// appended, or in very few without a version.
pub(super) fn compute_api(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    let versioned = path.split('/').any(|part| part.starts_with("v2"));
    url.set_path(&if versioned { format!("{path}/") } else { format!("{path}/v2.1/") });
    url
}

/// The first microversion with this call: Ussuri, 2020.
const CACHE_VERSION: &str = "2.81";
/// Nova queries each cell, and gives up on a cell that does not answer within a minute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(70);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_catalog_gets_a_version_only_where_it_has_none() {
        for (catalog, api) in [
            ("http://nova:8774/v2.1", "http://nova:8774/v2.1/"),
            ("http://nova:8774/v2.1/", "http://nova:8774/v2.1/"),
            ("http://cloud/compute/v2.1/0123abcd", "http://cloud/compute/v2.1/0123abcd/"),
            ("http://nova:8774", "http://nova:8774/v2.1/"),
            ("http://cloud/compute/", "http://cloud/compute/v2.1/"),
        ] {
            assert_eq!(compute_api(Url::parse(catalog).unwrap()).as_str(), api);
        }
    }

    #[test]
    fn a_service_is_in_use_only_when_enabled_and_up() {
        let service = |status: &str, state: &str, reason: Value| -> ComputeService {
            serde_json::from_value(json!({"host": "c1", "zone": "nova", "status": status, "state": state,
                "disabled_reason": reason, "binary": "nova-compute", "id": 1}))
            .unwrap()
        };
        assert_eq!(service("enabled", "up", Value::Null).out_of_use(), None);
        let down = service("enabled", "down", Value::Null).out_of_use();
        assert_eq!(down.as_deref(), Some("its nova-compute is down"));
        let mended = service("disabled", "up", json!("new memory")).out_of_use();
        assert_eq!(mended.as_deref(), Some("disabled in Nova: new memory"));
        let both = service("disabled", "down", Value::Null).out_of_use();
        assert_eq!(both.as_deref(), Some("disabled in Nova"));
    }
}
