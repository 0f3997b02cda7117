//! The output of `qemu-img info --output=json` for an image, and its comparison with the inspection's result.
//!
//! Nova runs it too (`images.py`, `fetch_to_raw`), after its own inspection. Here every file that the output names, at
//! any depth, must be the image itself: a backing file, the data file of a qcow2, an extent of a vmdk.

use glancecast_inspect::{Format, Refusal, Rule};
use serde::Deserialize;
use serde_json::Value;

/// The output for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The format that QEMU's probe detected, by QEMU's name.
    pub format: String,
    /// The length of the disk in bytes.
    pub virtual_bytes: u64,
    /// Another file that the image needs: the rule against it, and the file's name.
    named: Option<(Rule, String)>,
}

/// Output that cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("qemu-img info: its answer is not understood: {0}")]
pub struct InfoError(String);

/// The required fields of the output.
#[derive(Deserialize)]
struct Answer {
    format: String,
    #[serde(rename = "virtual-size")]
    virtual_bytes: u64,
}

impl Info {
    /// Parses the output for an image that the tool opened by its descriptor, as `/proc/self/fd/N`.
    ///
    /// # Errors
    /// If the output is not JSON, or not a description of an image.
    pub fn read(answer: &[u8]) -> Result<Self, InfoError> {
        let understood = |error: serde_json::Error| InfoError(error.to_string());
        let Answer { format, virtual_bytes } = serde_json::from_slice(answer).map_err(understood)?;
        let value: Value = serde_json::from_slice(answer).map_err(understood)?;
        Ok(Self { format, virtual_bytes, named: other_file(&value) })
    }

    /// Checks that QEMU detects the same format as inspection, and that the image needs no other file.
    ///
    /// # Errors
    /// [`Refusal`] with the rule that the image breaks.
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

/// Returns the refusal of an image that `qemu-img info` does not open, with the error `line` of the tool. Any disk can
/// be opened as raw, so a failure means that QEMU's probe detected another format.
pub fn not_opened(inspected: Format, line: &str) -> Refusal {
    if inspected.is_raw() {
        let text = format!("the image is {inspected}, and qemu-img takes it for another format: {line}");
        return Refusal { rule: Rule::FormatMismatch, text };
    }
    Refusal { rule: Rule::MalformedHeader, text: format!("qemu-img does not open it: {line}") }
}

/// Returns the first name of a file other than the image.
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

/// The prefix of the image's own name: the tool gets it as an open descriptor.
const OWN: &str = "/proc/self/fd/";

/// Returns untrusted text, shortened and without special characters.
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
