//! Signed images from a real Glance, signed with the `cryptography` package as the image signing tools do, and verified
//! on the sender. Without a correct signature by a trusted key nothing is published.

use std::fs;
use std::path::Path;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::openstack::{self, OpenStack};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{Push, Testbed};
use serde_json::Value;

#[test]
fn only_what_a_trusted_key_signed_is_published() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::start(&testbed.path("openstack"));
    let disk = testbed.path("disk.raw");
    let sum = image::random(&disk, 3 << 20, Seed::draw());
    let certificates = testbed.store("certificates");
    let signed = sign(&testbed, &disk, &certificates);
    let receiver = testbed.receiver("r1", &[]);
    let mut published = Vec::new();

    for image in &signed {
        let field = |name: &str| image[name].as_str().expect("the script tells it");
        let (name, key_type, hash, uuid) = (field("name"), field("key_type"), field("hash"), field("uuid"));
        let properties = [
            ("img_signature", field("signature")),
            ("img_signature_hash_method", hash),
            ("img_signature_key_type", key_type),
            ("img_signature_certificate_uuid", uuid),
        ];
        // This Glance has no key manager, and would refuse the upload of a signed image.
        let id = cloud.upload("lab-demo", name, &disk);
        cloud.describe("lab-demo", &id, &properties);
        let mut push = push(&testbed, &cloud, &certificates, &[name, "--verify-signatures"]);
        match field("expected") {
            "right" => {
                let (end, report) = push.report(TIME);
                assert_eq!((end.code(), report.root.as_ref()), (Some(0), Some(&sum)), "{name}: {report:?}");
                published.push(name.to_owned());
            }
            // The signature is verified once everything was read: hosts have the image by then, but do not publish it.
            "signature-wrong" => {
                let (end, report) = push.report(TIME);
                assert_eq!(end.code(), Some(1), "{name}: {report:?}");
                assert!(report.reason.expect("it failed").ends_with("(rule signature-wrong)"), "{name}");
            }
            rule => refused(push.process, rule),
        }
    }
    cloud.upload("lab-demo", "unsigned", &disk);
    refused(
        push(&testbed, &cloud, &certificates, &["unsigned", "--verify-signatures"]).process,
        "signature-missing",
    );
    let (end, report) = push(&testbed, &cloud, &certificates, &["unsigned"]).report(TIME);
    assert_eq!(end.code(), Some(0), "{report:?}");
    published.push("unsigned".to_owned());
    published.sort_unstable();
    assert_eq!(receiver.stored(), published);
    assert!(published.len() >= 4, "{published:?}");
}

/// Runs the signing script; returns a row for each image.
fn sign(testbed: &Testbed, disk: &Path, certificates: &Path) -> Vec<Value> {
    let script = testbed.path("sign.py");
    fs::write(&script, SIGN).expect("the testbed's directory takes a file");
    let mut command = openstack::python(&testbed.path(""));
    command.args([&script, disk, certificates]);
    let mut process = Process::start("sign", command, &testbed.path(""));
    assert_eq!(process.wait(TIME).code(), Some(0), "{:?}", process.log_lines());
    serde_json::from_str(&process.output()).expect("a list")
}

fn push(testbed: &Testbed, cloud: &OpenStack, certificates: &Path, arguments: &[&str]) -> Push {
    let mut command = testbed.command("s", "glancecast");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OS_")) {
        command.env_remove(name);
    }
    command.env("OS_CLIENT_CONFIG_FILE", cloud.clouds());
    let (spool, certificates) = (testbed.store("spool"), certificates.to_str().expect("UTF-8"));
    let spool = spool.to_str().expect("UTF-8");
    let usual = ["--trusted-certs", certificates, "--os-cloud", "lab-demo", "--spool", spool];
    let network = ["--hosts", "r1", "--rate", "390mbit", "--timeout", "30s"];
    testbed.push_with(command, &[arguments, &usual, &network].concat())
}

#[track_caller]
fn refused(mut process: Process, rule: &str) {
    let end = process.wait(TIME);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(2), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(&format!("(rule {rule})"))), "{rule}: {lines:?}");
    println!("{}", lines.concat());
}

const TIME: Duration = Duration::from_secs(60);

/// Certificates named by UUID and otherwise, one that does not exist, and signatures made with them as cursive does.
const SIGN: &str = r#"
import base64, datetime, json, sys, uuid
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.x509.oid import NameOID

image, directory = open(sys.argv[1], "rb").read(), sys.argv[2]
now = datetime.datetime.now(datetime.timezone.utc)
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
rows = []

def key(make, file):
    """A key, the UUID of its certificate, and that certificate in `file` (None: nowhere)."""
    private, identity = make(), str(uuid.uuid4())
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now)
                   .not_valid_after(now + datetime.timedelta(days=1)).sign(private, hashes.SHA256()))
    if file:
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        open(directory + "/" + file.format(identity), "wb").write(pem)
    return private, identity

def row(title, key_type, method, signature, identity, expected):
    rows.append(dict(name=title, key_type=key_type, hash=method, uuid=identity, expected=expected,
                     signature=base64.b64encode(signature).decode()))

def pss(private, method, data=image, salt=padding.PSS.MAX_LENGTH):
    return private.sign(data, padding.PSS(padding.MGF1(method), salt), method)

make_rsa = lambda: rsa.generate_private_key(65537, 2048)
private, identity = key(make_rsa, "{}.pem")
stranger, nowhere = key(make_rsa, None)
row("rsa-256", "RSA-PSS", "SHA-256", pss(private, hashes.SHA256()), identity, "right")
row("rsa-512", "RSA-PSS", "SHA-512", pss(private, hashes.SHA512()), identity, "right")
row("rsa-other-bytes", "RSA-PSS", "SHA-256", pss(private, hashes.SHA256(), image[:-1]), identity, "signature-wrong")
row("rsa-other-key", "RSA-PSS", "SHA-256", pss(stranger, hashes.SHA256()), identity, "signature-wrong")
row("rsa-short-salt", "RSA-PSS", "SHA-256", pss(private, hashes.SHA256(), salt=32), identity, "signature-wrong")
row("rsa-224", "RSA-PSS", "SHA-224", pss(private, hashes.SHA224()), identity, "signature-unsupported")
p384, p384_id = key(lambda: ec.generate_private_key(ec.SECP384R1()), "anyhow.crt")
row("ec-384", "ECC_SECP384R1", "SHA-384", p384.sign(image, ec.ECDSA(hashes.SHA384())), p384_id, "right")
row("ec-512", "ECC_SECP384R1", "SHA-512", p384.sign(image, ec.ECDSA(hashes.SHA512())), p384_id, "right")
p521, p521_id = key(lambda: ec.generate_private_key(ec.SECP521R1()), None)
row("ec-untrusted", "ECC_SECP521R1", "SHA-512", p521.sign(image, ec.ECDSA(hashes.SHA512())), p521_id,
    "certificate-untrusted")
row("dsa", "DSA", "SHA-256", b"x", identity, "signature-unsupported")
print(json.dumps(rows))
"#;
