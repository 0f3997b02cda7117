//! Entries of systemd's journal, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram of fields.

use std::env;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::priority;
use super::record::{Record, plain};

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: Option<UnixDatagram>,
    program: &'static str,
    host: String,
}

impl Journal {
    /// Opens the journal's socket. Where there is none, nothing is sent.
    pub(super) fn open(program: &'static str, host: &str) -> Self {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(SOCKET)?;
            // A journal that hangs must not keep the receive loop waiting.
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok::<_, io::Error>(socket)
        };
        Self { socket: open().ok(), program, host: host.to_owned() }
    }

    /// Sends an entry.
    ///
    /// # Errors
    /// The error of the system: there is no journal, it does not read, or the entry is too long for a datagram.
    pub(super) fn send(&self, record: &Record) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        socket.send(&entry(record, self.program, &self.host)).map(drop)
    }
}

/// Returns the fields of an entry: those of journalctl, the record's own as `GLANCECAST_NAME`, and three that are the
/// same in every entry about a push: `GLANCECAST_PUSH`, `GLANCECAST_IMAGE`, `GLANCECAST_HOST`.
fn entry(record: &Record, program: &str, host: &str) -> Vec<u8> {
    let mut fields = Vec::with_capacity(512);
    field(&mut fields, "MESSAGE", &record.text());
    field(&mut fields, "PRIORITY", &priority(record.level).to_string());
    field(&mut fields, "SYSLOG_IDENTIFIER", program);
    field(&mut fields, "GLANCECAST_HOST", host);
    let is_about_a_push = record.fields.iter().any(|(name, _)| *name == "session");
    for (name, value) in &record.fields {
        let value = plain(value);
        match *name {
            "session" => field(&mut fields, "GLANCECAST_PUSH", &value),
            "name" if is_about_a_push => field(&mut fields, "GLANCECAST_IMAGE", &value),
            "host" => {}
            name => field(&mut fields, &format!("GLANCECAST_{}", name.to_ascii_uppercase()), &value),
        }
    }
    fields
}

/// Adds a field: `NAME=value`, or with its length if the value has several lines.
fn field(fields: &mut Vec<u8>, name: &str, value: &str) {
    fields.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        fields.push(b'\n');
        fields.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        fields.push(b'=');
    }
    fields.extend_from_slice(value.as_bytes());
    fields.push(b'\n');
}

/// Whether standard error leads to the journal: `JOURNAL_STREAM` names its device and inode (systemd.exec(5)).
pub(super) fn is_stderr() -> bool {
    let Ok(named) = env::var("JOURNAL_STREAM") else { return false };
    let path = format!("/proc/self/fd/{}", io::stderr().as_raw_fd());
    std::fs::metadata(path).is_ok_and(|metadata| named == format!("{}:{}", metadata.dev(), metadata.ino()))
}

const SOCKET: &str = "/run/systemd/journal/socket";

/// Longest wait for the journal before the entry goes to standard error.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn an_entry_has_its_priority_and_the_push_the_image_and_the_host_under_their_names() {
        let record = Record {
            level: Level::WARN,
            message: "nothing is published: full".into(),
            fields: vec![("session", "07".into()), ("name", "debian".into()), ("bytes", 7.into())],
        };
        let entry = String::from_utf8(entry(&record, "glancecastd", "compute-1")).expect("text");
        let expected = "MESSAGE=nothing is published: full session=07 name=debian bytes=7\nPRIORITY=4\n\
                        SYSLOG_IDENTIFIER=glancecastd\nGLANCECAST_HOST=compute-1\nGLANCECAST_PUSH=07\n\
                        GLANCECAST_IMAGE=debian\nGLANCECAST_BYTES=7\n";
        assert_eq!(entry, expected);
    }

    #[test]
    fn a_name_outside_a_push_is_no_image() {
        let record = Record {
            level: Level::INFO,
            message: "listening".into(),
            fields: vec![("name", "compute-1".into())],
        };
        let entry = String::from_utf8(entry(&record, "glancecastd", "compute-1")).expect("text");
        assert!(entry.contains("GLANCECAST_NAME=compute-1\n") && !entry.contains("IMAGE"), "{entry}");
    }

    #[test]
    fn a_value_of_several_lines_cannot_add_a_field() {
        let mut fields = Vec::new();
        field(&mut fields, "GLANCECAST_X", "a\nPRIORITY=0");
        assert_eq!(fields, [b"GLANCECAST_X\n\x0c\0\0\0\0\0\0\0".as_slice(), b"a\nPRIORITY=0\n"].concat());
    }
}
