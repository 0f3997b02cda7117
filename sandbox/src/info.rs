//! What `qemu-img info --output=json` says of an image, and whether that is what inspection says.
//!
//! Nova asks it too (`images.py`, `fetch_to_raw`), after its own inspection. Here any file that the answer names, at any
//! depth, has to be the image itself: a backing file, the data file of a qcow2, an extent of a vmdk.

use glancecast_inspect::{Format, Refusal, Rule};
use serde::Deserialize;
use serde_json::Value;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// QEMU's name of the format that its probe found.
    pub format: String,
    /// The length of the disk.
    pub virtual_bytes: u64,
    /// A file that the image needs besides itself: the rule against it, and its name.
    named: Option<(Rule, String)>,
}

/// An answer that is none.
#[derive(Debug, thiserror::Error)]
#[error("qemu-img info: its answer is not understood: {0}")]
pub struct InfoError(String);

/// What has to be there.
#[derive(Deserialize)]
struct Answer {
    format: String,
    #[serde(rename = "virtual-size")]
    virtual_bytes: u64,
}

impl Info {
    /// Reads an answer about the image that the tool knows by a descriptor, as `/proc/self/fd/N`.
    ///
    /// # Errors
    /// No JSON, or not what QEMU says of an image.
    pub fn read(answer: &[u8]) -> Result<Self, InfoError> {
        let understood = |error: serde_json::Error| InfoError(error.to_string());
        let Answer { format, virtual_bytes } = serde_json::from_slice(answer).map_err(understood)?;
        let value: Value = serde_json::from_slice(answer).map_err(understood)?;
        Ok(Self { format, virtual_bytes, named: other_file(&value) })
    }

    /// Whether QEMU sees the image that inspection has seen, and that in itself.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn agrees(&self, inspected: Format) -> Result<(), Refusal> {
        if let Some((rule, name)) = &self.named {
            let text = format!("qemu-img says that the image needs another file: {}", printable(name));
            return Err(Refusal { rule: *rule, text });
        }
        if self.format != inspected.qemu_name() {
            let text =
                format!("the image is {inspected}, and qemu-img takes it for {}", printable(&self.format));
            return Err(Refusal { rule: Rule::FormatMismatch, text });
        }
        Ok(())
    }
}

/// Why an image that `qemu-img info` does not open is refused, with the line that it says. A disk opens as raw always: where it does
/// not, QEMU's probe has taken it for something else.
pub fn not_opened(inspected: Format, line: &str) -> Refusal {
    if inspected.is_raw() {
        let text = format!("the image is {inspected}, and qemu-img takes it for another format: {line}");
        return Refusal { rule: Rule::FormatMismatch, text };
    }
    Refusal { rule: Rule::MalformedHeader, text: format!("qemu-img does not open it: {line}") }
}

/// The first name of a file that is not the image's own.
fn other_file(value: &Value) -> Option<(Rule, String)> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| match (rule_of(key), value) {
            (Some(_), Value::Null) => None,
            (Some(Rule::VmdkExtent), Value::String(name)) if name.starts_with(OWN) => None,
            (Some(rule), Value::String(name)) => Some((rule, name.clone())),
            (Some(rule), other) => Some((rule, other.to_string())),
            (None, value) => other_file(value),
        }),
        Value::Array(values) => values.iter().find_map(other_file),
        _ => None,
    }
}

fn rule_of(key: &str) -> Option<Rule> {
    match key {
        "backing-filename" | "full-backing-filename" | "backing-image" => Some(Rule::BackingFile),
        "data-file" => Some(Rule::DataFile),
        "filename" => Some(Rule::VmdkExtent),
        _ => None,
    }
}

/// What the tool is given is open already, and has no other name.
const OWN: &str = "/proc/self/fd/";

/// A stranger's text, short and plain.
fn printable(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    plain.take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_in_itself_of_the_inspected_format_agrees() {
        for (qemu, inspected) in [
            ("raw", Format::Iso),
            ("raw", Format::Gpt),
            ("raw", Format::Raw),
            ("vpc", Format::Vhd),
            ("qcow2", Format::Qcow2),
        ] {
            let answer = json!({
                "format": qemu, "virtual-size": 1 << 20, "filename": "/proc/self/fd/3",
                "children": [{ "name": "file", "info": { "filename": "/proc/self/fd/3", "format": "file" } }],
                "format-specific": { "type": qemu, "data": { "data-file-raw": false } },
            });
            assert_eq!(info(&answer).agrees(inspected), Ok(()), "{qemu}");
        }
    }

    #[test]
    fn a_file_that_is_named_at_any_depth_is_refused_by_its_rule() {
        for (what, rule) in [
            (json!({ "backing-filename": "/etc/passwd" }), Rule::BackingFile),
            (json!({ "full-backing-filename": "nbd://host:10809" }), Rule::BackingFile),
            (json!({ "format-specific": { "data": { "data-file": "x" } } }), Rule::DataFile),
            (
                json!({ "format-specific": { "data": { "extents": [{ "filename": "/etc/passwd" }] } } }),
                Rule::VmdkExtent,
            ),
            (json!({ "filename": "json:{}" }), Rule::VmdkExtent),
            (json!({ "backing-filename": 7 }), Rule::BackingFile),
        ] {
            let mut answer = json!({ "format": "vmdk", "virtual-size": 1 });
            answer
                .as_object_mut()
                .expect("an object")
                .append(what.clone().as_object_mut().expect("an object"));
            let refusal = info(&answer).agrees(Format::Vmdk).expect_err("refused");
            assert_eq!(refusal.rule, rule, "{what}");
        }
    }

    #[test]
    fn another_format_is_refused() {
        let refusal =
            info(&json!({ "format": "vmdk", "virtual-size": 1 })).agrees(Format::Raw).expect_err("refused");
        assert_eq!(refusal.rule, Rule::FormatMismatch);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let deep = "[".repeat(100_000);
        for answer in [
            "",
            "{}",
            "running 0 tests",
            "{\"format\":\"raw\"}",
            "{\"format\":\"raw\",\"virtual-size\":-1}",
            &deep,
            "{\"format\":\"raw\",\"format\":\"vmdk\",\"virtual-size\":1}",
        ] {
            assert!(Info::read(answer.as_bytes()).is_err(), "{}", &answer[..answer.len().min(60)]);
        }
    }

    fn info(answer: &Value) -> Info {
        Info::read(answer.to_string().as_bytes()).expect("an answer")
    }
}
