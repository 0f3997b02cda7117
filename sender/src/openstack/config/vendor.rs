//! The profiles of public clouds that openstacksdk ships (`config/vendors/*.json`): as much of them as a log-in takes.
//! A clouds-public.yaml comes before them. Pure.

use super::yaml::{Map, Value};

/// A profile by its name.
pub(super) enum Profile {
    Known(Map),
    /// openstacksdk fetches it from the network, which this program does not.
    Remote,
    Unknown,
}

/// Returns the profile of this name.
pub(super) fn profile(name: &str) -> Profile {
    if name.contains("://") || ["ovh", "vexxhost"].contains(&name) {
        return Profile::Remote;
    }
    let Some((_, auth_url, regions)) = PROFILES.iter().find(|(known, ..)| *known == name) else {
        return Profile::Unknown;
    };
    let mut auth = Map::from([("auth_url".to_owned(), Value::text(*auth_url))]);
    if ["auro", "ovh-us", "fuga"].contains(&name) {
        for key in ["user_domain_name", "project_domain_name"] {
            auth.insert(key.to_owned(), Value::text("Default"));
        }
    }
    let regions = regions.split(' ').map(Value::text).collect();
    Profile::Known(Map::from([
        ("auth".to_owned(), Value::Map(auth)),
        ("regions".to_owned(), Value::List(regions)),
    ]))
}

/// Name, address of Keystone, and regions; those that openstacksdk calls shut down are left out.
const PROFILES: &[(&str, &str, &str)] = &[
    ("auro", "https://api.van2.auro.io:5000/v3", "RegionOne"),
    ("binero", "https://auth.binero.cloud:5000/v3", "europe-se-1"),
    ("catalyst", "https://api.cloud.catalyst.net.nz:5000/v2.0", "nz-por-1 nz_wlg_2"),
    ("citycloud", "https://{region_name}.citycloud.com:5000/v3/", "Buf1 Fra1 Sto2 Kna1 dx1 tky1"),
    ("conoha", "https://identity.{region_name}.conoha.io", "sin1 sjc1 tyo1"),
    ("dreamcompute", "https://iad2.dream.io:5000", "RegionOne"),
    ("elastx", "https://ops.elastx.cloud:5000/v3", "se-sto"),
    ("entercloudsuite", "https://api.entercloudsuite.com/", "it-mil1 nl-ams1 de-fra1"),
    ("fuga", "https://identity.api.fuga.io:5000", "cystack"),
    ("limestonenetworks", "https://auth.cloud.lstn.net:5000/v3", "us-dfw-1 us-slc"),
    ("otc", "https://iam.{region_name}.otc.t-systems.com/v3", "eu-de eu-nl"),
    ("ovh-us", "https://auth.cloud.ovh.us/", "US-EAST-VA-1 US-WEST-OR-1 US-EAST-VA US-WEST-OR"),
    ("rackspace", "https://identity.api.rackspacecloud.com/v2.0/", "DFW HKG IAD ORD SYD LON"),
    ("switchengines", "https://keystone.cloud.switch.ch:5000/v3", "LS ZH"),
    ("zetta", "https://identity.api.zetta.io/v3", "no-osl1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gives_the_address_and_the_regions() {
        let Profile::Known(profile) = profile("citycloud") else { panic!("it is known") };
        let auth = profile["auth"].as_map().expect("a mapping");
        assert_eq!(auth["auth_url"].as_text(), Some("https://{region_name}.citycloud.com:5000/v3/"));
        assert!(matches!(&profile["regions"], Value::List(list) if list.len() == 6));
    }

    #[test]
    fn no_profile_is_fetched_from_the_network() {
        assert!(matches!(profile("https://cloud.example"), Profile::Remote));
        assert!(matches!(profile("ovh"), Profile::Remote));
        assert!(matches!(profile("nobody"), Profile::Unknown));
    }
}
