//! The proxies that the environment names, as the `openstack` command takes them (Python's requests): http_proxy,
//! https_proxy, all_proxy and no_proxy, in lower case before upper case. Messages name the proxy of an address, so the
//! choice is made here and not within the HTTP client. A password in the URL of a proxy is never shown.

use std::env;
use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::error::{shown, shown_url};

/// The proxies of the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exempt: Vec<Exempt>,
}

/// A proxy that a variable names.
#[derive(Clone)]
pub(super) struct Proxy {
    variable: &'static str,
    url: Result<Url, String>,
}

impl Proxies {
    /// Reads the variables of this process.
    pub(super) fn of_this_process() -> Self {
        Self::read(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        // A script of a web server gets HTTP_PROXY from whoever sends a header `Proxy` (CVE-2016-5385).
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let first = |names: &[&'static str]| {
            // An empty variable in lower case takes back that in upper case.
            let (name, value) = names.iter().find_map(|name| Some((*name, variable(name)?)))?;
            let value = value.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        let all = || first(&["all_proxy", "ALL_PROXY"]);
        let http: &[_] = if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        let proxy = |found: Option<(&'static str, String)>| {
            found.map(|(variable, value)| Proxy { variable, url: parse(&value) })
        };
        let exempt = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        Self {
            http: proxy(first(http).or_else(all)),
            https: proxy(first(&["https_proxy", "HTTPS_PROXY"]).or_else(all)),
            exempt: exempt.split([',', ' ']).filter_map(Exempt::parse).take(EXEMPT_MAX).collect(),
        }
    }

    /// Returns the proxy that requests to an address go through.
    pub(super) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.exempt.iter().any(|exempt| exempt.covers(url)))
    }
}

impl Proxy {
    /// Returns its address.
    ///
    /// # Errors
    /// Why the variable is not the address of a proxy.
    pub(super) fn url(&self) -> Result<&Url, &str> {
        self.url.as_ref().map_err(String::as_str)
    }

    /// Returns the variable that names it.
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }
}

/// `http://proxy:3128 of https_proxy`.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Ok(url) => write!(f, "{} of {}", shown_url(url.as_str()).trim_end_matches('/'), self.variable),
            Err(_) => f.write_str(self.variable),
        }
    }
}

/// Without the URL, which may have a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a proxy's address; without a scheme it is http.
fn parse(text: &str) -> Result<Url, String> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    match url {
        Ok(url) if url.scheme().starts_with("socks") => {
            Err("SOCKS is not supported: give the address of an HTTP proxy".to_owned())
        }
        Ok(url) if !["http", "https"].contains(&url.scheme()) => {
            Err(format!("{}:// is not http:// or https://", shown(url.scheme())))
        }
        Ok(url) if url.has_host() => Ok(url),
        Ok(_) => Err("it has no host".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What requests do not go through a proxy to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exempt {
    Everything,
    /// A host or everything below a domain, perhaps only one port of it.
    Name(String, Option<u16>),
    /// Addresses that begin with these bits.
    Network(IpAddr, u8),
}

impl Exempt {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self::Everything);
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Network(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>())
        {
            return Some(Self::Network(address, bits));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        (!name.is_empty()).then(|| Self::Name(name.to_ascii_lowercase(), port))
    }

    fn covers(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match (self, address) {
            (Self::Everything, _) => true,
            (Self::Name(name, port), _) => {
                let is_below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (host == *name || is_below)
                    && port.is_none_or(|port| url.port_or_known_default() == Some(port))
            }
            (Self::Network(network, bits), Ok(address)) => begins_alike(*network, address, *bits),
            (Self::Network(..), Err(_)) => false,
        }
    }
}

/// Whether two addresses of one family have the same first `bits` bits.
fn begins_alike(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let (network, address, all) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let free = u32::from(all - bits.min(all));
    (network ^ address).checked_shr(free).unwrap_or(0) == 0
}

/// More exemptions than any environment has.
const EXEMPT_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables = variables.to_vec();
        Proxies::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        proxies(variables).of(&Url::parse(url).unwrap()).map(Proxy::to_string)
    }

    #[test]
    fn the_variable_of_the_scheme_counts_and_lower_case_comes_first() {
        let of = |variables: &[(&str, &str)]| chosen(variables, "http://ks:5000/v3");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HTTP_PROXY", "http://p:1")]).as_deref(), Some("http://p:1 of HTTP_PROXY"));
        assert_eq!(
            of(&[("HTTP_PROXY", "http://p:1"), ("http_proxy", "q:2")]).unwrap(),
            "http://q:2 of http_proxy"
        );
        assert_eq!(of(&[("HTTP_PROXY", "http://p:1"), ("http_proxy", "")]), None);
        assert_eq!(of(&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")]), None, "a CGI script");
        assert_eq!(of(&[("https_proxy", "http://p:1")]), None);
        assert_eq!(of(&[("ALL_PROXY", "http://p:1")]).unwrap(), "http://p:1 of ALL_PROXY");
        assert_eq!(
            chosen(&[("https_proxy", "http://p:1")], "https://ks/").unwrap(),
            "http://p:1 of https_proxy"
        );
    }

    #[test]
    fn exempt_addresses_are_asked_directly() {
        for (exempt, url, is_exempt) in [
            ("*", "http://ks/", true),
            ("ks.example", "http://ks.example:5000/", true),
            ("example", "http://ks.example/", true),
            (".example", "http://KS.example./", true),
            ("*.example", "http://ks.example/", true),
            ("ample", "http://ks.example/", false),
            ("other, ks.example", "http://ks.example/", true),
            ("ks.example:5000", "http://ks.example:5000/", true),
            ("ks.example:5000", "http://ks.example:9292/", false),
            ("127.0.0.1", "http://127.0.0.1:5000/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("0.0.0.0/0", "http://11.1.2.3/", true),
            ("::1", "http://[::1]:5000/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("fd00::/8", "http://[fe12::1]/", false),
            ("10.0.0.0/99", "http://10.0.0.0/", true),
            (":::,/,[", "http://ks/", false),
        ] {
            let variables = [("http_proxy", "http://p:1"), ("no_proxy", exempt)];
            assert_eq!(chosen(&variables, url).is_none(), is_exempt, "{exempt} {url}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_no_password_is_shown() {
        for bad in [
            "http://",
            "http://u:hunter2@",
            "ftp://u:hunter2@p",
            "socks5://u:hunter2@p:1080",
            "http://p:99999",
            "a b",
        ] {
            let proxies = proxies(&[("http_proxy", bad)]);
            let proxy = proxies.of(&Url::parse("http://ks/").unwrap()).unwrap();
            let fault = proxy.url().unwrap_err();
            assert!(!format!("{fault} {proxy} {proxies:?}").contains("hunter2"), "{bad}: {fault}");
        }
        let good = proxies(&[("http_proxy", "http://u:hunter2@p:3128/")]);
        let proxy = good.of(&Url::parse("http://ks/").unwrap()).unwrap();
        assert_eq!(proxy.to_string(), "http://p:3128 of http_proxy");
        assert!(!format!("{good:?}").contains("hunter2") && proxy.url().unwrap().password().is_some());
    }
}
