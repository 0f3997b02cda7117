//! The command lines of children. Pure. No secret is in them: keys, passwords and tokens are in files that the sender's own
//! configuration names. What comes from outside stands behind `=`, so that it is never taken for an option.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::model::{HostChoice, JobRequest, PushRequest, Reach, Target};
use crate::settings::{CloudSettings, SenderSettings};
use crate::store::JobKind;

/// Files for lists that are too long for a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// The hosts that are meant.
    pub hosts: Option<PathBuf>,
    /// The hosts that are left out.
    pub exclude: Option<PathBuf>,
}

/// The words that stand in front of every command.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    /// How children are started.
    pub sender: &'a SenderSettings,
    /// The cloud; `None` without OpenStack.
    pub cloud: Option<&'a CloudSettings>,
    /// The profile of the sender's configuration.
    pub profile: Option<&'a str>,
}

/// The prefix of images that are files.
pub const FILE: &str = "file:";

impl Front<'_> {
    /// Returns the command line of the push of an image.
    pub fn send(&self, target: &Target, request: &PushRequest, files: &HostFiles) -> Vec<OsString> {
        let mut words = self.begin("send");
        match (target.reference.strip_prefix(FILE), &self.sender.images) {
            (Some(name), Some(directory)) => words.push(option("--file", directory.join(name))),
            _ => {
                // An id of Glance has no dash at its beginning.
                words.push(target.image_id.clone().unwrap_or_else(|| target.reference.clone()).into());
            }
        }
        words.extend(hosts(&request.hosts, files));
        if request.reach == Reach::Unicast {
            words.push("--reach=unicast".into());
        }
        for (name, value) in
            [("--rate", &request.rate), ("--timeout", &request.timeout), ("--pin", &request.pin)]
        {
            words.extend(value.as_ref().map(|value| option(name, value)));
        }
        if request.confirm {
            words.push("--confirm".into());
        }
        match request.dry_run {
            true => words.extend(["--dry-run".into(), "--json".into()]),
            false => words.push("--events".into()),
        }
        words
    }

    /// Returns the command line of a job.
    pub fn job(&self, kind: JobKind, request: &JobRequest, files: &HostFiles) -> Vec<OsString> {
        let mut words = match kind {
            JobKind::Verification => self.begin("verify"),
            JobKind::Diagnosis => self.begin("doctor"),
        };
        if request.quarantine {
            words.push("--quarantine".into());
        }
        words.extend(hosts(&request.hosts, files));
        words.push("--json".into());
        if let Some(image) = &request.image {
            words.extend(["--".into(), image.into()]);
        }
        words
    }

    /// Returns the command line that asks all hosts what they hold.
    pub fn inventory(&self) -> Vec<OsString> {
        let mut words = self.begin("hosts");
        words.extend(["--everyone".into(), "--json".into()]);
        words
    }

    /// Returns the command line that ends the pin of an image on some hosts.
    pub fn unpin(&self, image: &str, files: &HostFiles) -> Vec<OsString> {
        let mut words = self.begin("unpin");
        words.extend(files.hosts.as_ref().map(|path| option("--hosts-file", path)));
        words.extend(["--json".into(), "--".into(), image.into()]);
        words
    }

    fn begin(&self, command: &str) -> Vec<OsString> {
        let mut words = vec![command.into()];
        words.extend(self.sender.config.as_ref().map(|path| option("--config", path)));
        words.extend(self.profile.map(|profile| option("--profile", profile)));
        if let Some(CloudSettings { cloud, region }) = self.cloud {
            words.extend(cloud.as_ref().map(|cloud| option("--os-cloud", cloud)));
            words.extend(region.as_ref().map(|region| option("--os-region-name", region)));
        }
        words
    }
}

fn hosts(choice: &HostChoice, files: &HostFiles) -> Vec<OsString> {
    let mut words: Vec<OsString> = match choice {
        HostChoice::All => vec!["--everyone".into()],
        HostChoice::Names(_) => files.hosts.iter().map(|path| option("--hosts-file", path)).collect(),
        HostChoice::Nova { aggregates, zones } => {
            let aggregates = aggregates.iter().map(|name| option("--aggregate", name));
            aggregates.chain(zones.iter().map(|name| option("--availability-zone", name))).collect()
        }
    };
    if let Some(path) = &files.exclude {
        let mut list = OsString::from("@");
        list.push(path);
        words.push(option("--exclude", list));
    }
    words
}

fn option(name: &str, value: impl AsRef<std::ffi::OsStr>) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

/// Returns the text of a file of hosts.
pub fn host_lines(hosts: &[String]) -> String {
    hosts.iter().map(|host| format!("{host}\n")).collect()
}

/// Whether a name is that of a file in the directory of images: no path, and not hidden.
pub fn is_file_name(name: &str) -> bool {
    glancecast_proto::ids::ObjectName::new(name).is_ok() && Path::new(name).components().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> SenderSettings {
        SenderSettings { program: "glancecast".into(), config: None, images: Some("/srv/images".into()) }
    }

    fn request() -> PushRequest {
        PushRequest {
            hosts: HostChoice::Names(vec!["c1".into()]),
            exclude: Vec::new(),
            reach: Reach::AsSet,
            rate: Some("auto:2gbit".into()),
            timeout: None,
            pin: Some("7d".into()),
            confirm: false,
            dry_run: false,
            placed_for: Default::default(),
        }
    }

    fn image(reference: &str) -> Target {
        let image_id =
            (!reference.starts_with(FILE)).then(|| "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44".to_owned());
        Target { reference: reference.into(), image_id, name: None, bytes: None }
    }

    fn line(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_str().expect("text")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_image_of_glance_is_named_by_its_id() {
        let cloud = CloudSettings { cloud: Some("prod".into()), region: None };
        let front = Front { sender: &sender(), cloud: Some(&cloud), profile: Some("gpu") };
        let files = HostFiles { hosts: Some("/run/h".into()), exclude: None };
        assert_eq!(
            line(&front.send(&image("--debian"), &request(), &files)),
            "send --profile=gpu --os-cloud=prod 4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44 --hosts-file=/run/h \
             --rate=auto:2gbit --pin=7d --events"
        );
    }

    #[test]
    fn a_file_an_aggregate_and_a_dry_run_have_their_options() {
        let front = Front { sender: &sender(), cloud: None, profile: None };
        let nova = HostChoice::Nova { aggregates: vec!["--gpu".into()], zones: vec!["z".into()] };
        let request = PushRequest { hosts: nova, dry_run: true, rate: None, pin: None, ..request() };
        let files = HostFiles { hosts: None, exclude: Some("/run/x".into()) };
        assert_eq!(
            line(&front.send(&image("file:debian.raw"), &request, &files)),
            "send --file=/srv/images/debian.raw --aggregate=--gpu --availability-zone=z --exclude=@/run/x --dry-run --json"
        );
        let unicast = PushRequest { reach: Reach::Unicast, hosts: HostChoice::All, ..request };
        assert!(
            line(&front.send(&image("x"), &unicast, &HostFiles::default()))
                .contains("--everyone --reach=unicast")
        );
    }

    #[test]
    fn an_image_that_looks_like_an_option_is_none() {
        let front = Front { sender: &sender(), cloud: None, profile: None };
        let request = JobRequest {
            image: Some("--quarantine".into()),
            quarantine: false,
            hosts: HostChoice::All,
            exclude: Vec::new(),
        };
        let words = front.job(JobKind::Verification, &request, &HostFiles::default());
        assert_eq!(line(&words), "verify --everyone --json -- --quarantine");
    }

    #[test]
    fn a_file_of_the_directory_has_no_path() {
        for (name, is_one) in [
            ("debian.raw", true),
            ("../x", false),
            ("a/b", false),
            (".hidden", false),
            ("", false),
            ("..", false),
        ] {
            assert_eq!(is_file_name(name), is_one, "{name}");
        }
    }
}
