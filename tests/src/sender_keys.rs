//! A sender's key pair for a scenario.

use std::path::Path;
use std::process::Stdio;

use glancecast_platform::sender_keys;
use glancecast_proto::sign::SigningKey;

use crate::process::Process;
use crate::testbed::{SOON, Testbed};

/// The keys of a sender, made by `glancecast keygen`.
#[derive(Debug, Clone)]
pub struct SenderKeys {
    /// The path of the secret key.
    pub secret: String,
    /// The public key.
    pub public: String,
}

impl SenderKeys {
    /// Makes a key pair for the sender of a testbed.
    pub fn of(testbed: &Testbed) -> Self {
        Self::named(testbed, "sender")
    }

    /// Makes another key pair.
    ///
    /// # Panics
    /// When keygen fails.
    pub fn named(testbed: &Testbed, name: &str) -> Self {
        let secret = testbed.path(&format!("{name}.secret")).to_str().expect("UTF-8").to_owned();
        let mut command = testbed.command("s", "glancecast");
        command.args(["keygen", "--sender", &secret]).stdin(Stdio::null());
        let mut process = Process::start(&format!("keygen-{name}"), command, &testbed.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        Self { secret, public: process.output().trim().to_owned() }
    }

    /// Reads the secret key.
    pub fn signer(&self) -> SigningKey {
        sender_keys::load(Path::new(&self.secret)).expect("just made")
    }
}
