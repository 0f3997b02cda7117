//! The file of `--relays`: the segments of the network that carry their own multicast or none, and which hosts may
//! relay in each.
//!
//! ```toml
//! [[rack]]
//! name = "az1-r12"
//! relays = ["10.1.12.11", "10.1.12.12"]
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glancecast_platform::units::Rate;
use serde::Deserialize;

use super::address::{HostAddress, HostAddressError};

/// A segment of the network, as an operator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rack {
    /// Its name, in tables and messages.
    pub name: String,
    /// The hosts that may relay there, the preferred one first.
    pub relays: Vec<HostAddress>,
    /// The rate that the way to it bears, if that is known.
    pub uplink: Option<Rate>,
    /// Whether it carries multicast.
    pub multicast: bool,
    /// Further hosts of it that no multicast reaches.
    pub unicast: Vec<HostAddress>,
}

/// A file describes no segments.
#[derive(Debug, thiserror::Error)]
pub enum RelaysFileError {
    /// The file cannot be read.
    #[error("relays file {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file is no TOML, or has other keys or values than are known.
    #[error("relays file {path}: {error}; docs/networks.md describes it", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The message, which has several lines in TOML's own form, on one line.
        error: String,
    },
    /// A rack contradicts itself or another one.
    #[error("relays file {path}: rack {name:?}: {error}", path = path.display())]
    Rack {
        /// The file.
        path: PathBuf,
        /// The rack.
        name: String,
        /// What is wrong with it.
        error: RackError,
    },
}

/// What is wrong with a rack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RackError {
    /// Its name is empty or too long.
    #[error("a name has 1 to {NAME_CHARS_MAX} characters")]
    Name,
    /// Another rack has the same name.
    #[error("another rack has this name")]
    Twice,
    /// There is nobody to relay.
    #[error("give the address of one relay at least, as in relays = [\"10.1.12.11\"]")]
    NoRelay,
    /// More hosts are listed than are used.
    #[error("at most {RELAYS_MAX} relays and {UNICAST_MAX} unicast hosts are possible")]
    TooMany,
    /// An address is none.
    #[error(transparent)]
    Address(#[from] HostAddressError),
    /// A host is in two racks, or twice in one.
    #[error("{0} is listed twice")]
    Again(HostAddress),
    /// The uplink's rate is none.
    #[error("uplink: {0}")]
    Uplink(String),
}

impl Rack {
    /// Reads the racks of a file.
    ///
    /// # Errors
    /// [`RelaysFileError`] with what is wrong, and where.
    pub fn from_file(path: &Path) -> Result<Vec<Self>, RelaysFileError> {
        let text = fs::read_to_string(path)
            .map_err(|error| RelaysFileError::Read { path: path.to_owned(), error })?;
        Self::parse(&text, path)
    }

    /// Returns the text of a file with these racks, as [`Rack::from_file`] reads it: relays beyond `RELAYS_MAX` and
    /// unicast hosts beyond `UNICAST_MAX` are left out, because they are found without the file.
    pub fn to_text(racks: &[Self]) -> String {
        let list = |addresses: &[HostAddress], most: usize| {
            let quoted: Vec<String> =
                addresses.iter().take(most).map(|address| format!("\"{address}\"")).collect();
            format!("[{}]", quoted.join(", "))
        };
        let mut text = String::new();
        for Self { name, relays, uplink, multicast, unicast } in racks.iter().take(RACKS_MAX) {
            let name = toml::Value::from(name.as_str());
            text.push_str(&format!("\n[[rack]]\nname = {name}\nrelays = {}\n", list(relays, RELAYS_MAX)));
            if let Some(uplink) = uplink {
                text.push_str(&format!("uplink = \"{}mbit\"\n", uplink.bits() / 1_000_000));
            }
            if !multicast {
                text.push_str("multicast = false\n");
            }
            if !unicast.is_empty() {
                text.push_str(&format!("unicast = {}\n", list(unicast, UNICAST_MAX)));
            }
        }
        text
    }

    fn parse(text: &str, path: &Path) -> Result<Vec<Self>, RelaysFileError> {
        let form = |error: toml::de::Error| {
            let at = error.span().map_or_else(String::new, |span| line_of(text, span.start));
            RelaysFileError::Form { path: path.to_owned(), error: format!("{at}{}", error.message()) }
        };
        let file: File = toml::from_str(text).map_err(form)?;
        if file.rack.is_empty() || file.rack.len() > RACKS_MAX {
            let error = format!("there are 1 to {RACKS_MAX} racks in it, each begins with [[rack]]");
            return Err(RelaysFileError::Form { path: path.to_owned(), error });
        }
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        let mut racks = Vec::new();
        for entry in file.rack {
            let name = entry.name.clone();
            let is_first = names.insert(name.clone());
            let rack = entry.check(is_first, &mut addresses);
            racks.push(rack.map_err(|error| RelaysFileError::Rack { path: path.to_owned(), name, error })?);
        }
        Ok(racks)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rack: Vec<Entry>,
}

/// A rack as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    relays: Vec<String>,
    uplink: Option<String>,
    #[serde(default = "yes")]
    multicast: bool,
    #[serde(default)]
    unicast: Vec<String>,
}

impl Entry {
    /// Checks the rack. `addresses` are those of the racks before it.
    fn check(self, is_first: bool, addresses: &mut BTreeSet<HostAddress>) -> Result<Rack, RackError> {
        let Self { name, relays, uplink, multicast, unicast } = self;
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(RackError::Name);
        }
        if !is_first {
            return Err(RackError::Twice);
        }
        if relays.is_empty() {
            return Err(RackError::NoRelay);
        }
        if relays.len() > RELAYS_MAX || unicast.len() > UNICAST_MAX {
            return Err(RackError::TooMany);
        }
        let mut list = |texts: Vec<String>| -> Result<Vec<HostAddress>, RackError> {
            let address = |text: String| {
                let address: HostAddress = text.parse()?;
                if addresses.insert(address) { Ok(address) } else { Err(RackError::Again(address)) }
            };
            texts.into_iter().map(address).collect()
        };
        let (relays, unicast) = (list(relays)?, list(unicast)?);
        let uplink = uplink.map(|text| text.parse::<Rate>()).transpose();
        let uplink = uplink.map_err(|error| RackError::Uplink(error.to_string()))?;
        Ok(Rack { name, relays, uplink, multicast, unicast })
    }
}

fn yes() -> bool {
    true
}

/// Returns the line of a place in the text, for a message.
fn line_of(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    format!("line {}: ", before.matches('\n').count() + 1)
}

/// Racks of one file: as many as there are hosts with a rack each in the largest group would be of no use.
const RACKS_MAX: usize = 4096;
/// Relays of one rack: the third one is needed when two have failed.
const RELAYS_MAX: usize = 16;
/// Hosts of one rack that no multicast reaches.
const UNICAST_MAX: usize = 1024;
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_has_a_name_and_relays_in_order_and_multicast_unless_it_says_otherwise() {
        let racks = parse(
            "[[rack]]\nname = \"az1-r12\"\nrelays = [\"10.1.12.11\", \"10.1.12.12\"]\n\
             [[rack]]\nname = \"far\"\nrelays = [\"10.2.0.9:7200\"]\nuplink = \"25gbit\"\nmulticast = false\n\
             unicast = [\"10.1.99.7\"]\n",
        );
        let address = |text: &str| text.parse::<HostAddress>().expect("an address");
        let first = Rack {
            name: "az1-r12".into(),
            relays: vec![address("10.1.12.11"), address("10.1.12.12")],
            uplink: None,
            multicast: true,
            unicast: Vec::new(),
        };
        let second = Rack {
            name: "far".into(),
            relays: vec![address("10.2.0.9:7200")],
            uplink: Some("25gbit".parse().expect("a rate")),
            multicast: false,
            unicast: vec![address("10.1.99.7")],
        };
        assert_eq!(racks.expect("two racks"), [first, second]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let address = |text: &str| text.parse::<HostAddress>().expect("an address");
        let racks = [
            Rack {
                name: "10.1.12.0/24".into(),
                relays: vec![address("10.1.12.11"), address("10.1.12.12:7200")],
                uplink: Some("25gbit".parse().expect("a rate")),
                multicast: true,
                unicast: vec![address("10.1.12.40")],
            },
            Rack {
                name: "fd00:1::/64, \"far\"".into(),
                relays: vec![address("fd00:1::5"), address("[fd00:1::6]:9")],
                uplink: None,
                multicast: false,
                unicast: Vec::new(),
            },
        ];
        assert_eq!(parse(&Rack::to_text(&racks)).expect("two racks"), racks);
    }

    #[test]
    fn a_rack_that_is_written_has_no_more_hosts_than_are_read() {
        let many = |third: u8, count: u16| -> Vec<HostAddress> {
            let address = |last: u16| format!("10.{third}.{}.{}", last / 200, 1 + last % 200);
            (0..count).map(|last| address(last).parse().expect("an address")).collect()
        };
        let rack = Rack {
            name: "large".into(),
            relays: many(1, 40),
            uplink: None,
            multicast: true,
            unicast: many(2, 2_000),
        };
        let read = parse(&Rack::to_text(&[rack])).expect("a rack");
        assert_eq!((read[0].relays.len(), read[0].unicast.len()), (RELAYS_MAX, UNICAST_MAX));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rack_or_its_line() {
        let rack = |more: &str| format!("[[rack]]\nname = \"r1\"\nrelays = [\"10.0.0.1\"]\n{more}");
        for (text, says) in [
            (String::new(), "missing field `rack`"),
            ("rack = []".into(), "each begins with [[rack]]"),
            (rack("uplnk = \"1gbit\"\n"), "line 4: unknown field `uplnk`"),
            (rack("uplink = 10\n"), "line 4: invalid type"),
            (rack("uplink = \"fast\"\n"), "rack \"r1\": uplink: "),
            (rack("unicast = [\"10.0.0.1\"]\n"), "rack \"r1\": 10.0.0.1 is listed twice"),
            (rack("unicast = [\"c7\"]\n"), "rack \"r1\": \"c7\" is no address"),
            (rack(&rack("")), "rack \"r1\": another rack has this name"),
            ("[[rack]]\nname = \"r1\"\nrelays = []\n".into(), "rack \"r1\": give the address of one relay"),
            ("[[rack]]\nname = \"\"\nrelays = [\"10.0.0.1\"]\n".into(), "a name has 1 to 64"),
            ("[[rack]]\nrelays = [\"10.0.0.1\"]\n".into(), "missing field `name`"),
            (rack("unicast = [\"239.255.71.67\"]\n"), "239.255.71.67 is not the address of one host"),
        ] {
            let error = parse(&text).expect_err(&text).to_string();
            assert!(error.starts_with("relays file r.toml: ") && error.contains(says), "{text}: {error}");
            assert!(!error.contains('\n'), "one line: {error}");
        }
    }

    #[test]
    fn the_example_of_the_documents_is_right() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/relays.toml");
        assert_eq!(Rack::from_file(&path).expect("an example").len(), 3);
    }

    fn parse(text: &str) -> Result<Vec<Rack>, RelaysFileError> {
        Rack::parse(text, Path::new("r.toml"))
    }
}
