//! The settings of a node's Nova that matter to images placed in its cache.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::ini::{Ini, IniError, Names, ValueError};

/// The settings of one node's Nova; the defaults are Nova's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct NovaSettings {
    /// `instances_path`.
    pub(in crate::store) instances_path: PathBuf,
    /// `[image_cache] subdirectory_name`: the directory of base images, below the instances.
    pub(in crate::store) subdirectory: PathBuf,
    /// `force_raw_images`: base images are raw, whatever their format in Glance.
    pub(in crate::store) force_raw: bool,
    /// `[libvirt] images_type`.
    pub(in crate::store) images_type: String,
    /// `[image_cache] remove_unused_base_images`.
    pub(in crate::store) removes_unused: bool,
    /// `[image_cache] remove_unused_original_minimum_age_seconds`: age of the modification time at which an unused
    /// image is removed.
    pub(in crate::store) age_max: Duration,
}

/// Nova's configuration cannot be used, or does not name the cache.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error(transparent)]
    File(#[from] IniError),
    /// In these files, or on the command line if there are none.
    #[error("{}{why}", named(files))]
    Setting { files: Vec<PathBuf>, why: BadSetting },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSetting {
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error("instances_path {0:?} is not absolute")]
    NotAbsolute(PathBuf),
    #[error("subdirectory_name {0:?} does not stay below instances_path")]
    NotBelow(String),
}

impl NovaSettings {
    /// Returns Nova's defaults, with this `instances_path`.
    pub(in crate::store) fn at(instances_path: &Path) -> Self {
        Self {
            instances_path: instances_path.to_owned(),
            subdirectory: "_base".into(),
            force_raw: true,
            images_type: "default".into(),
            removes_unused: true,
            age_max: Duration::from_secs(24 * 3600),
        }
    }

    /// Reads Nova's files, of which later ones win; a directory stands for its `*.conf`. `instances_path` overrides
    /// theirs.
    ///
    /// # Errors
    /// One line with the file and what is wrong in it.
    pub(super) fn read(files: &[PathBuf], instances_path: Option<&Path>) -> Result<Self, SettingsError> {
        let ini = Ini::read(files)?;
        let in_files = |why| SettingsError::Setting { files: files.to_vec(), why };
        Self::of(&ini, instances_path).map_err(in_files)
    }

    fn of(ini: &Ini, instances_path: Option<&Path>) -> Result<Self, BadSetting> {
        let path = match (instances_path, ini.text(INSTANCES_PATH)?, ini.text(STATE_PATH)?) {
            (Some(path), ..) => path.to_owned(),
            (None, Some(path), _) => path.into(),
            (None, None, state) => {
                Path::new(state.as_deref().unwrap_or(super::ini::STATE_PATH)).join("instances")
            }
        };
        if !path.is_absolute() {
            return Err(BadSetting::NotAbsolute(path));
        }
        let mut settings = Self::at(&path);
        if let Some(name) = ini.text(SUBDIRECTORY)? {
            settings.subdirectory = subdirectory(&name)?;
        }
        if let Some(kind) = ini.text(IMAGES_TYPE)? {
            settings.images_type = kind;
        }
        settings.force_raw = ini.truth(FORCE_RAW)?.unwrap_or(settings.force_raw);
        settings.removes_unused = ini.truth(REMOVES_UNUSED)?.unwrap_or(settings.removes_unused);
        if let Some(seconds) = ini.seconds(AGE_MAX)? {
            settings.age_max = Duration::from_secs(seconds);
        }
        Ok(settings)
    }

    /// Checks that Nova uses the files of its cache here.
    ///
    /// # Errors
    /// Why no image may be placed here.
    pub(super) fn uses_files(&self) -> Result<(), NoFiles> {
        match self.images_type.as_str() {
            "default" | "raw" | "flat" | "qcow2" => Ok(()),
            "rbd" => Err(NoFiles::Rbd),
            "lvm" => Err(NoFiles::Lvm),
            other => Err(NoFiles::Unknown(other.to_owned())),
        }
    }

    /// Whether Nova may remove a pinned file before a busy host refreshes it.
    pub(super) fn may_remove_pinned(&self) -> bool {
        self.removes_unused && self.age_max < AGE_SHORT
    }
}

/// Why a file in this host's cache is useless or harmful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoFiles {
    /// A file in the cache makes Nova skip the clone inside Ceph, and upload the file for each instance instead.
    #[error(
        "images_type = rbd on this host: Nova clones images inside Ceph, and a file in its cache would make every boot upload \
         it. Keep the image raw in Glance's rbd store instead"
    )]
    Rbd,
    /// Nova converts the file with the format that qemu-img guesses, and relies on having inspected it itself.
    #[error(
        "images_type = lvm on this host: Nova converts cached files without inspecting them. Let Nova fetch the image itself: \
         openstack aggregate cache image"
    )]
    Lvm,
    #[error("images_type = {0} on this host is not one that is known to use files in its cache")]
    Unknown(String),
}

fn subdirectory(name: &str) -> Result<PathBuf, BadSetting> {
    let path = PathBuf::from(name);
    let plain = !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain { Ok(path) } else { Err(BadSetting::NotBelow(name.to_owned())) }
}

/// Returns the prefix of a message about a setting: its files, or nothing if it is from the command line.
fn named(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if files.is_empty() { String::new() } else { files.join(", ") + ": " }
}

const AGE_SHORT: Duration = Duration::from_secs(60);

const INSTANCES_PATH: Names<'_> = &[("DEFAULT", "instances_path")];
const STATE_PATH: Names<'_> = &[("DEFAULT", "state_path")];
const FORCE_RAW: Names<'_> = &[("DEFAULT", "force_raw_images")];
const IMAGES_TYPE: Names<'_> = &[("libvirt", "images_type")];
const SUBDIRECTORY: Names<'_> =
    &[("image_cache", "subdirectory_name"), ("DEFAULT", "image_cache_subdirectory_name")];
const REMOVES_UNUSED: Names<'_> =
    &[("image_cache", "remove_unused_base_images"), ("DEFAULT", "remove_unused_base_images")];
const AGE_MAX: Names<'_> = &[
    ("image_cache", "remove_unused_original_minimum_age_seconds"),
    ("DEFAULT", "remove_unused_original_minimum_age_seconds"),
];

/// Parses a fuzzer's bytes as Nova's configuration file.
///
/// # Panics
/// If settings are out of their bounds.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzed(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = Ini::of_text(text).map_err(|error| error.to_string());
    let settings = match read.and_then(|ini| NovaSettings::of(&ini, None).map_err(|error| error.to_string()))
    {
        Ok(settings) => settings,
        Err(error) => {
            assert!(!error.is_empty() && !error.contains(char::is_control), "{error:?}");
            return;
        }
    };
    assert!(settings.instances_path.is_absolute());
    let base = settings.instances_path.join(&settings.subdirectory);
    assert!(base.starts_with(&settings.instances_path), "below the instances");
    assert!(settings.uses_files().err().is_none_or(|why| !why.to_string().is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_proto::limits::REASON_MAX;
    use std::fs;

    #[test]
    fn what_is_not_set_is_novas_default() {
        let settings = read("[DEFAULT]\n").expect("correct");
        assert_eq!(settings, NovaSettings::at(Path::new("/var/lib/nova/instances")));
        let defaults = NovaSettings::at(Path::new("/x"));
        assert_eq!((defaults.force_raw, defaults.age_max), (true, Duration::from_secs(86_400)));
    }

    #[test]
    fn what_is_set_is_taken() {
        let settings = read(
            "[DEFAULT]\nstate_path = /srv/nova\ninstances_path = $state_path/inst\nforce_raw_images = False\nmy_ip = 10.0.0.7\n\
             [image_cache]\nsubdirectory_name = _base_$my_ip\nremove_unused_base_images = no\n\
             remove_unused_original_minimum_age_seconds = 600\n[libvirt]\nimages_type = qcow2\n",
        )
        .expect("correct");
        assert_eq!(settings.instances_path, Path::new("/srv/nova/inst"));
        assert_eq!(settings.subdirectory, Path::new("_base_10.0.0.7"));
        assert_eq!((settings.force_raw, settings.removes_unused), (false, false));
        assert_eq!((settings.age_max, settings.uses_files()), (Duration::from_secs(600), Ok(())));
    }

    #[test]
    fn an_age_below_a_minute_is_short_where_nova_removes_images_at_all() {
        let of = |seconds, removes_unused| {
            let age_max = Duration::from_secs(seconds);
            NovaSettings { removes_unused, age_max, ..NovaSettings::at(Path::new("/x")) }.may_remove_pinned()
        };
        assert!(of(59, true));
        assert!(!of(60, true) && !of(61, true) && !of(59, false) && !of(60, false));
    }

    #[test]
    fn a_state_path_alone_says_where_the_instances_are() {
        let settings = read("[DEFAULT]\nstate_path = /srv/nova\n").expect("correct");
        assert_eq!(settings.instances_path, Path::new("/srv/nova/instances"));
    }

    #[test]
    fn older_names_are_read_and_newer_ones_win() {
        let older = "[DEFAULT]\nimage_cache_subdirectory_name = older\n";
        assert_eq!(read(older).expect("correct").subdirectory, Path::new("older"));
        let both = format!("{older}[image_cache]\nsubdirectory_name = newer\n");
        assert_eq!(read(&both).expect("correct").subdirectory, Path::new("newer"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_file_and_the_option() {
        for (text, says) in [
            ("[image_cache]\nsubdirectory_name = ../x\n", "subdirectory_name"),
            ("[image_cache]\nsubdirectory_name = _base_$my_ip\n", "$my_ip"),
            ("[DEFAULT]\nforce_raw_images = perhaps\n", "force_raw_images"),
            ("[DEFAULT]\ninstances_path = here\n", "instances_path"),
            ("[DEFAULT]\nnothing\n", "line 2"),
        ] {
            let error = read(text).expect_err(says).to_string();
            assert!(error.contains(says) && error.contains("nova.conf"), "{error}");
        }
    }

    #[test]
    fn backends_that_use_no_files_refuse_with_what_to_do() {
        for (kind, says) in
            [("rbd", "Glance's rbd store"), ("lvm", "aggregate cache image"), ("new", "known")]
        {
            let settings = read(&format!("[libvirt]\nimages_type = {kind}\n")).expect("correct");
            let refusal = settings.uses_files().expect_err("refused").to_string();
            assert!(refusal.contains(says) && refusal.len() <= REASON_MAX, "{} {refusal}", refusal.len());
        }
    }

    fn read(text: &str) -> Result<NovaSettings, SettingsError> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("nova.conf");
        fs::write(&path, text).expect("written");
        NovaSettings::read(&[path], None)
    }
}
