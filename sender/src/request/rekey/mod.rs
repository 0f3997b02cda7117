//! The request for a new group key: it is made, kept, given to each known host under that host's key alone, and at last the
//! old one is retired. A run may end at any step, also by a kill: the record beside the key file says how far it came, and
//! the next run goes on from there.
//!
//! ```text
//! record on the disk -> hosts get the key, and say that they keep it -> key file replaced -> hosts retire the old key -> record removed
//! ```

mod files;
mod query;
mod record;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glancecast_platform::cli;
use glancecast_platform::interface::Interface;
use glancecast_platform::keyfile::{self, KeyFileError};
use glancecast_platform::{random, sender_keys};
use glancecast_proto::ids::HostName;
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sign::SigningKey;

use self::files::RecordFile;
use self::query::Asked;
pub use self::record::Progress;
use self::record::{OLD_KEYS_MAX, Record};
use super::{KnownHostsOptions, Network, RequestError};
use crate::pipeline::line::OutageReport;

/// A new group key for the hosts of a group. All its values are valid, so nothing has to be checked.
#[derive(Clone, Debug)]
pub struct RekeyRequest {
    /// The file of the group key.
    pub key: PathBuf,
    /// The file that the new key goes into; `None`: that of the old one.
    pub out: Option<PathBuf>,
    /// The sender key that signs.
    pub sender_key: PathBuf,
    /// What to do.
    pub step: RekeyStep,
    /// Hosts that are not given the new key.
    pub without: Vec<HostName>,
    /// Whether hosts keep the old key when all of them have the new one.
    pub old_key: OldKey,
    /// The network.
    pub network: Network,
    /// The time for which hosts are asked at a time.
    pub wait: Duration,
    /// The time after which hosts that did not answer are asked no more.
    pub timeout: Duration,
    /// The hosts that are known by their keys.
    pub known_hosts: KnownHostsOptions,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekeyStep {
    /// Makes a new key and gives it to the hosts.
    Begin,
    /// Makes another new key while a replacement is under way, and gives it to the hosts.
    BeginAgain,
    /// Gives the key to hosts that do not have it yet.
    Resume,
    /// Retires the old key on the hosts that have the new one, while others are awaited.
    Finish,
}

/// What becomes of the old key once every host has the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKey {
    /// Hosts accept it no longer.
    Retired,
    /// Hosts accept it until a run finishes the replacement.
    Kept,
}

/// How far a replacement is at the end of a run.
#[derive(Clone, Debug)]
pub struct RekeyResult {
    /// The file that has the new key.
    pub into: PathBuf,
    /// The file that has the old keys too, until the replacement is over.
    pub record: PathBuf,
    /// Whether the new key is in that file.
    pub installed: bool,
    /// Whether the replacement is over: its record and the old key are removed.
    pub finished: bool,
    /// The hosts, by name.
    pub hosts: BTreeMap<HostName, RekeyHost>,
    /// What became of the old key, as it was asked for.
    pub old_key: OldKey,
    /// When the network took nothing.
    pub outages: OutageReport,
}

/// A host at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RekeyHost {
    /// How far it is.
    pub progress: Progress,
    /// Why it is not further, if that is known.
    pub reason: Option<String>,
}

impl RekeyResult {
    /// Returns the number of hosts that are as far as this.
    pub fn count(&self, progress: Progress) -> usize {
        self.hosts.values().filter(|host| host.progress == progress).count()
    }

    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        let is_kept = self.old_key == OldKey::Kept && self.count(Progress::Awaited) == 0;
        if self.finished || is_kept { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE }
    }
}

/// Why a group key cannot be replaced.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RekeyError {
    #[error("{path}: {error}", path = path.display())]
    File { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(
        "{path}: a symbolic link, which the new key would take the place of while the file behind it kept the old one; name \
         that file",
        path = path.display()
    )]
    Link { path: PathBuf },
    #[error("another glancecast rekey of {key} is running: wait for it", key = key.display())]
    Busy { key: PathBuf },
    #[error(
        "{path}: the record of the replacement is damaged; it has the only copy of a key, so it is not removed: restore it, or \
         give the hosts a key by hand (docs/security.md, Replacing a group key: by hand)",
        path = path.display()
    )]
    Damaged { path: PathBuf },
    #[error(
        "{key} is being replaced already: --resume gives the new key to hosts that lack it, --finish retires the old one, --again \
         begins with another new key",
        key = key.display()
    )]
    UnderWay { key: PathBuf },
    #[error("{key} is not being replaced: begin with glancecast rekey, without --finish and --again", key = key.display())]
    NotUnderWay { key: PathBuf },
    #[error(
        "{OLD_KEYS_MAX} keys are being replaced at a time already: --finish retires those of the hosts that answer"
    )]
    TooManyOld,
    #[error(
        "no host is known by its key: glancecast hosts --enroll makes the hosts known, while the network is trusted"
    )]
    NobodyKnown,
    #[error(
        "--without {0}: no such host is known, and a name with a mistake would give the key to that host: check it in known_hosts"
    )]
    WithoutUnknown(HostName),
    #[error("--without names every host that is known: no host is left to be given the key")]
    NobodyLeft,
}

/// What is needed to ask hosts.
struct Group {
    signer: SigningKey,
    known: KnownHosts,
    /// The interface of the last query.
    interface: Option<Interface>,
    /// When the network took nothing, in all queries.
    outages: OutageReport,
}

impl RekeyRequest {
    /// Runs the step, and returns how far all hosts are then.
    ///
    /// # Errors
    /// [`RequestError`]. What hosts have taken by then is in the record, or is found out by the next run.
    pub async fn run(&self) -> Result<RekeyResult, RequestError> {
        let signer = sender_keys::load(&self.sender_key)?;
        let mut known = self.known_hosts.load()?;
        known.unknown = UnknownHosts::Refused;
        let mut group = Group { signer, known, interface: None, outages: OutageReport::default() };
        [Some(&self.key), self.out.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|path| files::refuse_link(path))?;
        let file = RecordFile::lock(&self.key)?;
        let record = file.read()?;
        if record.is_none() && self.step == RekeyStep::Resume {
            keyfile::load(&self.key)?;
            return Ok(self.nothing_to_do());
        }
        let mut record = self.begin(record, &group.known)?;
        file.write(&record)?;
        let mut reasons = BTreeMap::new();
        if self.step != RekeyStep::Finish {
            self.give(&mut group, &file, &mut record, &mut reasons).await?;
        }
        let installed = record.hosts.values().any(|at| matches!(at, Progress::Has | Progress::Finished));
        if installed {
            files::install(&record)?;
        }
        let all_have_it = record.at(Progress::Awaited).is_empty();
        if self.step == RekeyStep::Finish || all_have_it && self.old_key == OldKey::Retired {
            self.retire(&mut group, &file, &mut record, &mut reasons).await?;
        }
        let finished = record.is_finished() && installed;
        if finished {
            file.remove()?;
        }
        let host = |(name, &progress): (&HostName, &Progress)| {
            let reason = reasons.remove(name).filter(|_| progress != Progress::Finished);
            (name.clone(), RekeyHost { progress, reason })
        };
        let hosts = record.hosts.iter().map(host).collect();
        let (into, record) = (record.into, files::record_path(&self.key));
        let (old_key, outages) = (self.old_key, group.outages);
        Ok(RekeyResult { into, record, installed, finished, hosts, old_key, outages })
    }

    /// Returns the result of going on with a replacement that is finished.
    fn nothing_to_do(&self) -> RekeyResult {
        let (into, hosts, old_key) = (self.key.clone(), BTreeMap::new(), self.old_key);
        RekeyResult {
            into,
            record: files::record_path(&self.key),
            installed: true,
            finished: true,
            hosts,
            old_key,
            outages: OutageReport::default(),
        }
    }

    /// Returns the record as this run begins with it.
    fn begin(&self, record: Option<Record>, known: &KnownHosts) -> Result<Record, RequestError> {
        if known.keys.is_empty() {
            return Err(RekeyError::NobodyKnown.into());
        }
        let key = || self.key.clone();
        let mut record = match (record, self.step) {
            (None, RekeyStep::Begin) => self.first_record()?,
            (Some(_), RekeyStep::Begin) => return Err(RekeyError::UnderWay { key: key() }.into()),
            (None, _) => return Err(RekeyError::NotUnderWay { key: key() }.into()),
            (Some(record), RekeyStep::BeginAgain) if record.old.len() == OLD_KEYS_MAX => {
                drop(record);
                return Err(RekeyError::TooManyOld.into());
            }
            (Some(mut record), RekeyStep::BeginAgain) => {
                record.begin_again(new_key()?);
                record
            }
            (Some(record), RekeyStep::Resume | RekeyStep::Finish) => record,
        };
        // Hosts that were forgotten are gone, and those that became known since need the key.
        record.hosts.retain(|name, _| known.keys.contains_key(name));
        for name in known.keys.keys() {
            record.hosts.entry(name.clone()).or_insert(Progress::Awaited);
        }
        for name in &self.without {
            match record.hosts.get_mut(name) {
                Some(progress) => *progress = Progress::LeftOut,
                None => return Err(RekeyError::WithoutUnknown(name.clone()).into()),
            }
        }
        let is_left = record.hosts.values().any(|&progress| progress != Progress::LeftOut);
        if is_left { Ok(record) } else { Err(RekeyError::NobodyLeft.into()) }
    }

    fn first_record(&self) -> Result<Record, RequestError> {
        let old = vec![keyfile::load(&self.key)?];
        let into = self.out.clone().unwrap_or_else(|| self.key.clone());
        files::check_target(&into, &old)?;
        // The next run may start in another directory.
        let into = std::path::absolute(&into).map_err(|error| RekeyError::File { path: into, error })?;
        Ok(Record { into, new: new_key()?, old, hosts: BTreeMap::new() })
    }

    /// Gives the new key to the hosts that are awaited, under each key that they may be at, until they have it or the time
    /// is over. A host that already has it says so under the new key.
    async fn give(
        &self,
        group: &mut Group,
        file: &RecordFile,
        record: &mut Record,
        reasons: &mut BTreeMap<HostName, String>,
    ) -> Result<(), RequestError> {
        let end = self.end(group);
        let keys: Vec<GroupKey> = record.old.iter().chain([&record.new]).cloned().collect();
        loop {
            for under in &keys {
                let awaited = record.at(Progress::Awaited);
                if awaited.is_empty() {
                    return Ok(());
                }
                let asked = Asked::NewKey(record.new.clone());
                let rows = self.ask(group, under, &awaited, asked).await?;
                note(record, reasons, &rows, Progress::Has);
                file.write(record)?;
            }
            if Instant::now() >= end + group.outages.time {
                return Ok(());
            }
        }
    }

    /// Returns when hosts are asked no more, were it not for outages of the network from now on, in which nobody is
    /// asked.
    fn end(&self, group: &Group) -> Instant {
        let now = Instant::now();
        now.checked_sub(group.outages.time).unwrap_or(now) + self.timeout
    }

    /// Has the hosts that have the new key retire the old ones.
    async fn retire(
        &self,
        group: &mut Group,
        file: &RecordFile,
        record: &mut Record,
        reasons: &mut BTreeMap<HostName, String>,
    ) -> Result<(), RequestError> {
        let end = self.end(group);
        loop {
            let having = record.at(Progress::Has);
            if having.is_empty() {
                return Ok(());
            }
            let rows = self.ask(group, &record.new, &having, Asked::Retire).await?;
            note(record, reasons, &rows, Progress::Finished);
            file.write(record)?;
            if Instant::now() >= end + group.outages.time {
                return Ok(());
            }
        }
    }
}

/// Notes which hosts have done what they were asked, and why others have not.
fn note(record: &mut Record, reasons: &mut BTreeMap<HostName, String>, rows: &[HostAnswer], done: Progress) {
    for row in rows {
        if row.standing == Standing::Answered {
            record.hosts.insert(row.name.clone(), done);
            reasons.remove(&row.name);
        } else if row.standing != Standing::NeverAnswered || !reasons.contains_key(&row.name) {
            // Of what it said under several keys, silence is the least.
            reasons.insert(row.name.clone(), reason(row));
        }
    }
}

fn reason(row: &HostAnswer) -> String {
    let word = row.standing.name().replace('_', " ");
    match (&row.reason, row.standing) {
        (Some(reason), _) => format!("{word}: {reason}"),
        (None, Standing::NeverAnswered) => {
            "it is off, or not reached: glancecast rekey --resume once it is back".to_owned()
        }
        (None, Standing::AwaitingKey) => {
            "it has not said that it keeps the key: glancecast rekey --resume".to_owned()
        }
        (None, _) => word,
    }
}

fn new_key() -> Result<GroupKey, RequestError> {
    Ok(GroupKey::new(random::bytes().map_err(RequestError::Random)?))
}

/// Whether a replacement of this key file is under way, for the sake of a notice.
pub(crate) fn is_under_way(key: &Path) -> bool {
    files::record_path(key).exists()
}

#[cfg(test)]
mod tests;
