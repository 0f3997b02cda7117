//! The files that a dynamically linked program needs to start.

use std::path::{Path, PathBuf};

/// Libraries, and on RHEL and Debian QEMU's modules. All of them are public.
pub(crate) const LIBRARIES: [&str; 7] =
    ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"];

/// What the loader and the C library open. GnuTLS and GLib read random numbers in their constructors.
pub(crate) const FILES: [&str; 3] = ["/etc/ld.so.cache", "/dev/null", "/dev/urandom"];

/// Returns the existing directories from which the tool may read and execute.
pub(crate) fn directories(tool: &Path) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = LIBRARIES.iter().map(PathBuf::from).collect();
    directories.extend(beside(tool));
    directories.retain(|directory| directory.is_dir());
    directories
}

/// Returns the existing files that the tool may read.
pub(crate) fn files() -> Vec<PathBuf> {
    FILES.iter().map(PathBuf::from).filter(|file| file.exists()).collect()
}

/// Returns the libraries of a tool that is installed in its own directory, as in /opt/qemu/bin and /nix/store.
pub(crate) fn beside(tool: &Path) -> Vec<PathBuf> {
    if let Ok(rest) = tool.strip_prefix(NIX) {
        return if rest.components().count() > 1 { vec![NIX.into()] } else { Vec::new() };
    }
    let prefix = tool.parent().and_then(Path::parent);
    match prefix {
        Some(prefix)
            if tool.parent().is_some_and(|bin| bin.ends_with("bin")) && prefix.starts_with("/opt") =>
        {
            ["lib", "lib64"].map(|name| prefix.join(name)).into()
        }
        _ => Vec::new(),
    }
}

const NIX: &str = "/nix/store";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_in_a_directory_of_its_own_has_its_libraries_and_no_other_has_more() {
        assert_eq!(beside(Path::new("/opt/qemu/bin/qemu-img"))[0], Path::new("/opt/qemu/lib"));
        assert_eq!(beside(Path::new("/nix/store/abc-qemu/bin/qemu-img")), [Path::new("/nix/store")]);
        for tool in ["/usr/bin/qemu-img", "/home/a/bin/qemu-img", "/bin/qemu-img", "/opt/qemu-img"] {
            assert_eq!(beside(Path::new(tool)), [""; 0].map(PathBuf::from), "{tool}");
        }
    }
}
