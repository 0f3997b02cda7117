//! The settings of a cloud, side by side with the `openstack` command: its own code and glancecast read the same files
//! and variables, drawn from a seed, and a cloud that takes every log-in records what each asks for.

mod variant;

use std::fs;
use std::time::Duration;

use glancecast_tests::image::Seed;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{needs, openstack, places};
use serde_json::Value;

use variant::Variant;

#[test]
fn the_openstack_command_and_glancecast_ask_keystone_for_the_same() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    let seed = Seed::draw();
    let variants: Vec<Variant> = (0..VARIANTS).map(|case| Variant::draw(&mut seed.rng(case))).collect();
    let results = run(&testbed, &variants);
    let mut compared = 0;
    let mut differences = Vec::new();
    for (case, (variant, result)) in variants.iter().zip(&results).enumerate() {
        let mut expected = result["openstack"].clone();
        if expected.get("asked").is_none() {
            println!("variant {case}, which the openstack command refuses: {}", expected["refused"]);
            continue;
        }
        variant.put_declared_differences(&mut expected);
        compared += 1;
        if expected["asked"] != result["glancecast"]["asked"] {
            differences.push(format!(
                "variant {case}: {variant:#?}\nopenstack asks {:#}\nglancecast {:#}",
                expected["asked"], result["glancecast"]
            ));
        }
    }
    println!("{compared} of {VARIANTS} variants compared");
    assert!(differences.is_empty(), "{} differ, the first: {}", differences.len(), differences[0]);
    assert!(compared >= COMPARED_MIN, "the openstack command takes {compared} only");
}

/// Runs the script with all variants, and returns a result for each.
fn run(testbed: &Testbed, variants: &[Variant]) -> Vec<Value> {
    let directory = testbed.store("settings");
    let lines: Vec<String> = variants.iter().map(|variant| variant.json().to_string()).collect();
    let input = directory.join("variants");
    fs::write(&input, lines.join("\n")).expect("the testbed is writable");
    let mut command = openstack::python(&testbed.path(""));
    command.arg(places::workspace().join("tests/openstack/settings.py"));
    command.arg(places::program("glancecast")).arg(&directory);
    command.stdin(fs::File::open(&input).expect("it was written"));
    let mut script = Process::start("settings", command, &testbed.path(""));
    let end = script.wait(PATIENCE);
    assert_eq!(end.code(), Some(0), "{:?}", script.log_lines());
    let results: Vec<Value> = script
        .output()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();
    assert_eq!(results.len(), variants.len());
    results
}

const VARIANTS: usize = 120;
/// The others are refused by the `openstack` command too.
const COMPARED_MIN: usize = 90;
/// A variant takes 0.1 s; a slow machine needs more.
const PATIENCE: Duration = Duration::from_secs(300);
