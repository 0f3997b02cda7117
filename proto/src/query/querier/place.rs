//! A name, and who has answered for it.

use super::host::Host;
use crate::ids::{HostName, ReceiverId};
use crate::known::Standing as KeyStanding;
use crate::query::results::{HostAnswer, Standing};
use crate::sign::PublicKey;

/// What is known of a name.
#[derive(Default)]
pub(super) struct Place {
    /// The starts that have answered for it, in the order in which they were heard.
    pub(super) claims: Vec<ReceiverId>,
    /// What a host of another version says that has this name.
    pub(super) foreign: Option<String>,
    /// What was found when it was last judged.
    pub(super) judged: Judgement,
}

/// What the claims of a name amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) settlement: Settlement,
    pub(super) is_finding: bool,
}

/// Whether more is awaited of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Settlement {
    /// It is.
    #[default]
    Open,
    /// A host of this name speaks another version of the protocol; or so a holder of the group key says.
    Foreign,
    /// The final answer is here. Its key was not known before, so that somebody else may have given it.
    Answered,
    /// The final answer is here, and nobody else can have given it.
    Proven,
}

impl Place {
    /// Judges the starts that have answered for it.
    pub(super) fn judge(&self, hosts: &[&Host]) -> Judgement {
        let counting = || hosts.iter().filter(|host| host.counts());
        let is_foreign = self.foreign.is_some();
        let settlement = counting()
            .filter(|host| host.is_settled())
            .map(|host| if host.is_known() { Settlement::Proven } else { Settlement::Answered })
            .max()
            .unwrap_or(if is_foreign { Settlement::Foreign } else { Settlement::Open });
        let is_finding = counting().count() > 1 || hosts.iter().any(|host| host.is_changed());
        Judgement { settlement, is_finding }
    }
}

/// Whether there is room for another start that answers with this key. The key that is known always has room, whoever
/// else has answered.
pub(super) fn has_room(hosts: &[&Host], key: PublicKey, standing: KeyStanding) -> bool {
    let of_key = hosts.iter().filter(|host| host.key() == key).count();
    of_key < CLAIMS_OF_KEY_MAX && (standing == KeyStanding::Known || hosts.len() < CLAIMS_MAX)
}

/// Returns the rows of all starts that have answered for one name.
pub(super) fn rows(hosts: &[&Host], expected: bool) -> Vec<HostAnswer> {
    let rivals: Vec<&Host> = hosts.iter().copied().filter(|host| host.counts()).collect();
    let reason = twice(&rivals);
    hosts
        .iter()
        .map(|host| match &reason {
            Some(twice) if host.counts() => twice.row(host.row(expected)),
            _ => host.row(expected),
        })
        .collect()
}

/// Why a name has two answers that count.
enum Twice {
    /// Two starts have answered with one key.
    Starts,
    /// Two keys have answered, and none is known.
    Keys(String),
}

fn twice(rivals: &[&Host]) -> Option<Twice> {
    let [first, others @ ..] = rivals else { return None };
    if others.is_empty() {
        return None;
    }
    if others.iter().all(|host| host.key() == first.key()) {
        return Some(Twice::Starts);
    }
    let mut keys: Vec<PublicKey> = rivals.iter().map(|host| host.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    let keys: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
    Some(Twice::Keys(keys.join(" and ")))
}

impl Twice {
    fn row(&self, row: HostAnswer) -> HostAnswer {
        let standing = Standing::Twice;
        match self {
            Self::Starts => {
                let reason = "it answered twice with one key: it was started again during the query, or there is \
                              a copy of it";
                HostAnswer { standing, reason: Some(reason.to_owned()), ..row }
            }
            // One of them is not the host, and what it says is passed on as nobody's.
            Self::Keys(keys) => {
                let reason = format!("it answered with different keys, of which none is known: {keys}");
                HostAnswer { standing, objects: Vec::new(), reason: Some(reason), ..row }
            }
        }
    }
}

/// Returns the row of a name that nobody has answered for.
pub(super) fn unheard(name: &HostName, expected: bool, foreign: Option<&str>) -> HostAnswer {
    let standing = if foreign.is_some() { Standing::OtherVersion } else { Standing::NeverAnswered };
    HostAnswer {
        name: name.clone(),
        expected,
        standing,
        key: None,
        addr: None,
        about: None,
        objects: Vec::new(),
        counters: Vec::new(),
        left_out: 0,
        reason: foreign.map(str::to_owned),
    }
}

/// Starts that are kept of one name and one key: the second one shows that there are two.
const CLAIMS_OF_KEY_MAX: usize = 2;
/// Starts that are kept of one name, besides those with the key that is known.
const CLAIMS_MAX: usize = 4;
