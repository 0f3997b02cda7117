//! The text that describes a disk, up to its first NUL. Unlike QEMU, this ignores case.

use super::{ONE_FILE, VmdkType};
use crate::printable::quoted;
use crate::refusal::{Refusal, Rule};

/// Refuses a parent anywhere in the text. QEMU uses the first `parentFileNameHint` as the backing file, even in a
/// comment or in a line of the disk database, and with any content ID of the parent. Nova detects a parent with
/// `qemu-img info`.
pub(super) fn check_parent(region: &[u8]) -> Result<(), Refusal> {
    let text = text(region).to_ascii_lowercase();
    if text.contains(PARENT_HINT) {
        return Err(Refusal::new(
            Rule::BackingFile,
            "the vmdk names a parent, which would be read from the host: make one file of both (qemu-img convert)",
        ));
    }
    let is_none = |after: &str| {
        after
            .strip_prefix(NO_PARENT)
            .is_some_and(|rest| !rest.starts_with(|char: char| char.is_ascii_hexdigit()))
    };
    if !text.split(PARENT_CID).skip(1).all(is_none) {
        return Err(Refusal::new(Rule::BackingFile, "the vmdk has the content ID of a parent"));
    }
    Ok(())
}

/// Checks every line. Like oslo.utils, refuses unknown lines.
pub(super) fn check(region: &[u8], allowed: &[VmdkType]) -> Result<(), Refusal> {
    let text = text(region);
    if !text.is_ascii() {
        return Err(refusal("is not a text"));
    }
    if text.is_empty() {
        let text = format!("the vmdk is one extent of a disk, without its descriptor: {ONE_FILE}");
        return Err(Refusal::new(Rule::VmdkDescriptor, text));
    }
    let text = text.to_ascii_lowercase();
    check_types(&text, allowed)?;
    let mut extents = 0;
    for line in text.split('\n').map(str::trim) {
        if line.is_empty() || line.starts_with('#') || line.starts_with("ddb") || is_field(line) {
            continue;
        }
        if !ACCESS.contains(&line.split(' ').next().unwrap_or_default()) {
            return Err(refusal("has a line that is not understood"));
        }
        check_extent(line)?;
        extents += 1;
    }
    match extents {
        1 => Ok(()),
        0 => Err(Refusal::new(Rule::VmdkExtent, "the vmdk has no extents")),
        _ => {
            Err(Refusal::new(Rule::VmdkExtent, format!("the vmdk has {extents} extents, and is one of them")))
        }
    }
}

/// Returns the files that the extents of a text name, in quotes and shortened, for a message; empty if there is none.
pub(super) fn extents(region: &[u8]) -> String {
    let text = region.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut names = text.split(|&byte| byte == b'\n').filter_map(extent_name);
    let mut shown: Vec<String> = names.by_ref().take(NAMES_SHOWN_MAX).map(quoted).collect();
    match names.count() {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

/// Returns the name in quotes in the line of an extent.
fn extent_name(line: &[u8]) -> Option<&[u8]> {
    let word = line.trim_ascii_start().split(u8::is_ascii_whitespace).next()?;
    ACCESS.iter().find(|access| word.eq_ignore_ascii_case(access.as_bytes()))?;
    line.split(|&byte| byte == b'"').nth(1)
}

/// Returns the text of a region. Bytes that are not text stay recognisable as such.
fn text(region: &[u8]) -> String {
    let text = region.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Whether a line is a name without spaces, and its value. QEMU also separates the words of an extent at tabs.
fn is_field(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| !name.contains(char::is_whitespace))
}

/// Checks that all create types are allowed, because tools differ in which of several they find.
fn check_types(text: &str, allowed: &[VmdkType]) -> Result<(), Refusal> {
    let mut rest = text.split(CREATE_TYPE).skip(1).peekable();
    if rest.peek().is_none() {
        return Err(refusal("has no create type"));
    }
    rest.try_for_each(|after| check_type(after, allowed))
}

fn check_type(after: &str, allowed: &[VmdkType]) -> Result<(), Refusal> {
    let name = after.split_once('"').map(|(name, _)| name);
    let Some(name) = name.filter(|name| name.len() < TYPE_NAME_END) else {
        return Err(refusal("has no create type"));
    };
    if allowed.iter().any(|allowed| allowed.name().eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let known = allowed.iter().map(|allowed| allowed.name()).collect::<Vec<_>>().join(", ");
    let text = format!("the vmdk's create type is {name:?}; allowed: {known}: export it as one of these");
    Err(Refusal::new(Rule::VmdkType, text))
}

/// Checks an extent, as `RW 20480 SPARSE "disk.vmdk"`. A plain name is the image's own, even after a rename; a path is
/// another file. Nova's inspector also accepts kinds other than SPARSE, whose data would be in another file.
fn check_extent(line: &str) -> Result<(), Refusal> {
    if line.contains(['/', '\\']) {
        let name = extent_name(line.as_bytes()).map_or_else(|| "a path".to_owned(), quoted);
        let text = format!("the vmdk has an extent in a file of the host, {name}: {ONE_FILE}");
        return Err(Refusal::new(Rule::VmdkExtent, text));
    }
    if line.split(' ').filter(|word| !word.is_empty()).nth(2) != Some("sparse") {
        let text = format!("the vmdk has an extent that is not in itself: {ONE_FILE}");
        return Err(Refusal::new(Rule::VmdkExtent, text));
    }
    Ok(())
}

fn refusal(what: &str) -> Refusal {
    Refusal::new(Rule::VmdkDescriptor, format!("the vmdk's descriptor {what}"))
}

const PARENT_HINT: &str = "parentfilenamehint";
const PARENT_CID: &str = "parentcid";
const NO_PARENT: &str = "=ffffffff";
const CREATE_TYPE: &str = "createtype=\"";
/// oslo.utils accepts only shorter names.
const TYPE_NAME_END: usize = 64;
/// The access mode of an extent: the first word of its line.
const ACCESS: [&str; 3] = ["rw", "rdonly", "noaccess"];
/// Names in one message.
const NAMES_SHOWN_MAX: usize = 3;
