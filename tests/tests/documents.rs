//! Whatever `docs/security.md` and `docs/field-cases.md` say is shown by a test: that test, or that file, is in the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_and_every_file_that_the_threat_model_names_is_there() {
    assert_names_what_is_there("docs/security.md", 60);
}

#[test]
fn every_test_that_the_field_cases_name_is_there() {
    assert_names_what_is_there("docs/field-cases.md", 0);
}

/// Asserts that a document names tests and files of this tree, and `count_min` of them or more.
fn assert_names_what_is_there(document: &str, count_min: usize) {
    let tree = Tree::read(&root());
    let text = fs::read_to_string(root().join(document)).expect("it is there");
    let named: BTreeSet<&str> = quoted(&text).filter(|quoted| is_named(quoted)).collect();
    assert!(named.len() >= count_min, "{document} names {}", named.len());
    let missing: Vec<&&str> = named.iter().filter(|named| !tree.has(named)).collect();
    assert!(missing.is_empty(), "{document} names what is not there: {missing:#?}");
}

#[test]
fn a_test_that_was_renamed_or_moved_is_missed() {
    let tree = Tree::read(&root());
    let moved = "documents::a_test_that_was_renamed_or_moved_is_missed";
    for (name, is_there) in [
        ("a_test_that_was_renamed_or_moved_is_missed", true),
        (moved, true),
        ("documents::*", true),
        ("tests/tests/documents.rs", true),
        ("a_test_that_was_renamed_is_missed", false),
        ("licences::a_test_that_was_renamed_or_moved_is_missed", false),
        ("documents::tests_of_a_module_that_is_gone", false),
        ("no_such_module::*", false),
        ("tests/tests/no_such_file.rs", false),
    ] {
        assert!(is_named(name), "{name}");
        assert_eq!(tree.has(name), is_there, "{name}");
    }
    for other in ["known_hosts", "min_free", "RLIMIT_CORE", "senders = \"any\"", "no_new_privs", "--as-is"] {
        assert!(!is_named(other), "{other}");
    }
}

/// The Rust files of the tree, and the tests in them.
struct Tree {
    root: PathBuf,
    /// The tests of each module: a file is called by its name, and a `mod.rs` by its folder's.
    modules: BTreeMap<String, BTreeSet<String>>,
}

impl Tree {
    fn read(root: &Path) -> Self {
        let mut tree = Self { root: root.to_owned(), modules: BTreeMap::new() };
        for folder in fs::read_dir(root).expect("readable").flatten().map(|entry| entry.path()) {
            if folder.join("Cargo.toml").is_file() {
                tree.read_folder(&folder);
            }
        }
        tree
    }

    fn read_folder(&mut self, folder: &Path) {
        for path in fs::read_dir(folder).expect("readable").flatten().map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.is_dir() && stem != "target" {
                self.read_folder(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let folder = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let module = if stem == "mod" { folder } else { stem };
                let text = fs::read_to_string(&path).expect("a text");
                self.modules.entry(module.to_owned()).or_default().extend(tests_in(&text));
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match name.split_once("::") {
            _ if name.contains('/') => self.root.join(name).exists(),
            Some((module, "" | "*")) => self.modules.get(module).is_some_and(|tests| !tests.is_empty()),
            Some((module, test)) => self.modules.get(module).is_some_and(|tests| tests.contains(test)),
            None => self.modules.values().any(|tests| tests.contains(name)),
        }
    }
}

/// Returns the names of the tests in a file: functions that stand below an attribute ending in `test]` or `test(..)]`.
fn tests_in(text: &str) -> impl Iterator<Item = String> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(attribute) = line.strip_prefix("#[") {
            let name = attribute.split(['(', ']']).next().unwrap_or_default();
            is_test |= name == "test" || name.ends_with("::test");
            return None;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let name = function.and_then(|function| function.split('(').next()).filter(|_| is_test);
        is_test = false;
        name.map(str::to_owned)
    })
}

/// Returns what stands between backticks in a text, but for blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Whether a quotation names a test or a file of the tree: a module with `::`, a path to a file with code, or a sentence,
/// which is a name of five words or more.
fn is_named(quoted: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_code = [".rs", ".py"].iter().any(|end| quoted.ends_with(end));
    match quoted.split_once("::") {
        Some((module, test)) => module.chars().all(is_word) && (test == "*" || test.chars().all(is_word)),
        None if quoted.contains('/') => is_code && !quoted.starts_with('/'),
        None => quoted.chars().all(is_word) && quoted.matches('_').count() >= 4,
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tree").to_owned()
}
