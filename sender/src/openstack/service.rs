//! The services that are asked, and how messages name one.

use std::fmt;

use reqwest::Url;

use super::error::shown_url;

/// A service of OpenStack that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Identity: tokens and the catalog.
    Keystone,
    /// Images.
    Glance,
    /// Compute hosts.
    Nova,
    /// An OpenID Connect provider, whose tokens Keystone accepts.
    IdentityProvider,
}

impl Service {
    /// Returns the name of the project, by which operators know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keystone => "Keystone",
            Self::Glance => "Glance",
            Self::Nova => "Nova",
            Self::IdentityProvider => "the identity provider",
        }
    }

    /// Returns the service type of the catalog.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Keystone | Self::IdentityProvider => "identity",
            Self::Glance => "image",
            Self::Nova => "compute",
        }
    }

    /// Returns how to name another address of it in the settings.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Keystone => "name it in auth_url",
            Self::IdentityProvider => "name it in access_token_endpoint",
            Self::Glance => {
                "have the catalog corrected (`openstack endpoint set`), or name it in image_endpoint_override"
            }
            Self::Nova => {
                "have the catalog corrected (`openstack endpoint set`), or name it in compute_endpoint_override"
            }
        }
    }
}

/// A service at an address, as messages name it: with what decides where the request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) service: Service,
    /// The address, without user information.
    url: String,
    /// The interface and the region of the catalog, where it was found there.
    place: Option<(String, Option<String>)>,
    /// The proxy that requests to it go through, with the variable that names it.
    proxy: Option<String>,
}

impl Peer {
    /// Returns a service at an address that the settings give.
    pub(super) fn new(service: Service, url: &Url) -> Self {
        Self { service, url: shown_url(url.as_str()), place: None, proxy: None }
    }

    /// Adds the place in the catalog.
    pub(super) fn found(self, interface: &str, region: Option<&str>) -> Self {
        Self { place: Some((interface.to_owned(), region.map(str::to_owned))), ..self }
    }

    /// Adds the proxy: its address without credentials, and its variable.
    pub(super) fn through(self, proxy: Option<String>) -> Self {
        Self { proxy, ..self }
    }

    /// Returns the same service at another of its addresses.
    pub(super) fn at(&self, url: &Url) -> Self {
        Self { url: shown_url(url.as_str()), ..self.clone() }
    }

    /// Whether requests go through a proxy.
    pub(super) fn is_proxied(&self) -> bool {
        self.proxy.is_some()
    }
}

/// `Glance at http://gl:9292/v2/ (interface internal, region R1, through proxy http://p:3128 of http_proxy)`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.service.name(), self.url)?;
        let mut notes = Vec::new();
        if let Some((interface, region)) = &self.place {
            notes.push(format!("interface {interface}"));
            notes.extend(region.as_ref().map(|region| format!("region {region}")));
        }
        notes.extend(self.proxy.as_ref().map(|proxy| format!("through proxy {proxy}")));
        match notes.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", notes.join(", ")),
        }
    }
}
