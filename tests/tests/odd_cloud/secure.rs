//! Certificates of https servers: each fault has its words, and a cloud without TLS needs none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use glancecast_tests::fake_cloud::{FakeCloud, Knobs};
use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::Testbed;

use super::{SOON, command, ends, images, names};

#[test]
fn each_fault_of_a_certificate_has_its_words_and_a_way_out() {
    needs!(OPENSSL);
    let testbed = Testbed::loopback();
    let pki = Pki::new(&testbed);
    let good = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";
    for (title, extensions, options, words) in [
        (
            "expired",
            good,
            &["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"][..],
            "expired on 2020-02-01",
        ),
        (
            "early",
            good,
            &["-startdate", "20900101000000Z", "-enddate", "20910101000000Z"],
            "not valid before 2090-01-01",
        ),
        ("name", "subjectAltName=DNS:ks.example\n", &[], "not for 127.0.0.1 but for"),
        ("cn", "basicConstraints=critical,CA:FALSE\n", &[], "subjectAltName"),
        ("purpose", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=clientAuth\n", &[], "not for servers"),
        (
            "authority",
            "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n",
            &[],
            "one of a CA (CA:TRUE)",
        ),
        ("sha1", good, &["-md", "sha1"], "SHA-1"),
    ] {
        let pem = pki.server(title, extensions, options);
        let cloud = FakeCloud::start_with_tls(Knobs::default(), &pem);
        ends(
            images(&testbed, &cloud, &[("OS_CACERT", &pki.ca())]),
            1,
            &["Keystone at https://127.0.0.1:", words],
        );
    }
    let pem = pki.server("good", good, &[]);
    let cloud = FakeCloud::start_with_tls(Knobs::default(), &pem);
    assert_eq!(names(&mut images(&testbed, &cloud, &[("OS_CACERT", &pki.ca())])), ["debian"]);
    for (name, words) in [("another CA", "signed by no CA"), ("one CA", "another CA of the same name")] {
        let other = Pki::named(&testbed, &name.replace(' ', "-"), name);
        ends(images(&testbed, &cloud, &[("OS_CACERT", &other.ca())]), 1, &[words, "cacert"]);
    }
    let own =
        pki.server_by_itself("self", "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n");
    let cloud = FakeCloud::start_with_tls(Knobs::default(), &own);
    let own = own.to_str().expect("UTF-8");
    ends(
        images(&testbed, &cloud, &[("OS_CACERT", own)]),
        1,
        &["CA:TRUE", "basicConstraints=critical,CA:FALSE"],
    );
}

#[test]
fn a_port_that_does_not_speak_tls_is_named_as_such() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs::default());
    let mut command = command(&testbed, &cloud, &[]);
    command.env("OS_AUTH_URL", cloud.url("/v3").replace("http:", "https:")).arg("images");
    ends(Process::start("images", command, &testbed.path("")), 1, &["does not speak TLS", "http://"]);
}

#[test]
fn a_machine_without_certificates_reaches_a_cloud_without_tls() {
    let testbed = Testbed::loopback();
    let none = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let cloud = FakeCloud::start(Knobs::default());
    assert_eq!(names(&mut images(&testbed, &cloud, &none)), ["debian"]);
    let mut command = command(&testbed, &cloud, &none);
    command.env("OS_AUTH_URL", "https://127.0.0.1:9/v3").arg("images");
    let process = Process::start("images", command, &testbed.path(""));
    ends(process, 2, &["no certificates of CAs", "ca-certificates", "cacert"]);
}

/// A CA that signs certificates with every fault, by `openssl ca`.
struct Pki {
    directory: PathBuf,
}

impl Pki {
    fn new(testbed: &Testbed) -> Self {
        Self::named(testbed, "pki", "one CA")
    }

    fn named(testbed: &Testbed, directory: &str, name: &str) -> Self {
        let pki = Self { directory: testbed.store(directory) };
        let config = format!(
            "[ca]\ndefault_ca=x\n[x]\ndatabase={0}/index\nserial={0}/serial\nnew_certs_dir={0}\ndefault_md=sha256\n\
             default_days=30\nunique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n",
            pki.directory.display()
        );
        for (file, text) in [("ca.conf", config.as_str()), ("index", ""), ("serial", "01\n")] {
            fs::write(pki.directory.join(file), text).expect("writable");
        }
        pki.key_and_request("ca", name);
        pki.sign("ca", "basicConstraints=critical,CA:TRUE\n", &["-selfsign"]);
        pki
    }

    fn ca(&self) -> String {
        self.directory.join("ca.pem").to_str().expect("UTF-8").to_owned()
    }

    /// Returns a file with a certificate that the CA signed, and its key.
    fn server(&self, title: &str, extensions: &str, options: &[&str]) -> PathBuf {
        self.key_and_request(title, "127.0.0.1");
        self.sign(title, extensions, &[&["-cert", &self.ca()], options].concat());
        self.with_key(title)
    }

    /// Returns one that signed itself.
    fn server_by_itself(&self, title: &str, extensions: &str) -> PathBuf {
        self.key_and_request(title, "127.0.0.1");
        let key = self.path(title, "key");
        self.sign(title, extensions, &["-selfsign", "-keyfile", &key]);
        self.with_key(title)
    }

    fn key_and_request(&self, title: &str, name: &str) {
        let subject = format!("/CN={name}");
        let (key, request) = (self.path(title, "key"), self.path(title, "csr"));
        let new = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", &subject];
        self.openssl(&[&new[..], &["-keyout", &key, "-out", &request]].concat());
    }

    fn sign(&self, title: &str, extensions: &str, options: &[&str]) {
        let (request, certificate, file) =
            (self.path(title, "csr"), self.path(title, "pem"), self.path(title, "ext"));
        fs::write(&file, extensions).expect("writable");
        let (config, key) = (self.path("ca", "conf"), self.path("ca", "key"));
        let mut arguments = vec!["ca", "-batch", "-notext", "-config", &config, "-extfile", &file];
        arguments.extend(["-in", &request, "-out", &certificate]);
        if !options.contains(&"-keyfile") {
            arguments.extend(["-keyfile", &key]);
        }
        self.openssl(&[&arguments[..], options].concat());
    }

    fn with_key(&self, title: &str) -> PathBuf {
        let both = ["pem", "key"].map(|kind| fs::read_to_string(self.path(title, kind)).expect("a file"));
        let path = self.directory.join(format!("{title}-server.pem"));
        fs::write(&path, both.concat()).expect("writable");
        path
    }

    fn path(&self, title: &str, kind: &str) -> String {
        self.directory.join(format!("{title}.{kind}")).to_str().expect("UTF-8").to_owned()
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(arguments).stdin(Stdio::null());
        let mut process = Process::start("openssl", command, Path::new(&self.directory));
        let end = process.wait(SOON);
        assert_eq!(end.code(), Some(0), "{arguments:?}: {:?}", process.log_lines());
    }
}

const OPENSSL: &[Need] = &[Need::Program("openssl", "openssl")];
