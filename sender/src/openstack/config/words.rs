//! What single options say: places of services, truth values, paths, and addresses with names in them. Pure, but for the
//! home directory.

use std::path::PathBuf;

use super::super::error::shown;
use super::Place;
use super::cloud::Options;
use super::scalar::Reading;
use super::yaml::Value;

/// Puts options into a text that names them in braces, as `https://{region_name}.example` (`str.format`).
pub(super) fn expanded(template: &str, options: &Options) -> Result<String, String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let (brace, behind) = rest[at..].split_at(1);
        if behind.starts_with(brace) {
            text.push_str(brace);
            rest = &behind[1..];
            continue;
        }
        let name = behind.split_once('}').filter(|_| brace == "{");
        let (name, behind) = name.ok_or("`auth_url` has a brace without another")?;
        let value = options
            .text(name)
            .ok_or_else(|| format!("`auth_url` takes `{}`, which is not set", shown(name)))?;
        text.push_str(value);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

/// Returns where a service is looked up: `image_interface` comes before `interface`, and so on.
pub(super) fn place(service: &str, options: &Options) -> Result<Place, String> {
    let own = |key: &str| {
        let value = options.value(&format!("{service}_{key}"));
        value.filter(|value| !matches!(value, Value::Null)).or(options.value(key))
    };
    let region = own("region_name").and_then(Value::as_text).filter(|region| !region.is_empty());
    let words: Vec<&str> = match own("interface") {
        Some(Value::Text(scalar)) if !scalar.text.is_empty() => vec![&scalar.text],
        Some(Value::List(list)) => list.iter().filter_map(Value::as_text).collect(),
        _ => vec!["public"],
    };
    let interfaces = words.into_iter().map(interface).collect::<Result<Vec<_>, _>>()?;
    match interfaces.is_empty() {
        true => Err("`interface` is an empty list".to_owned()),
        false => {
            let address =
                ["endpoint_override", "endpoint"].map(|key| options.text(&format!("{service}_{key}")));
            let address = address.into_iter().flatten().next().map(str::to_owned);
            Ok(Place { region: region.map(str::to_owned), interfaces, address })
        }
    }
}

/// Returns the catalog's word for an interface; keystoneclient's older words end in URL.
fn interface(word: &str) -> Result<String, String> {
    let lower = word.trim().trim_end_matches("URL").to_ascii_lowercase();
    match lower.as_str() {
        "public" | "internal" | "admin" => Ok(lower),
        _ => Err(format!("interface `{}` is none of public, internal and admin", shown(word))),
    }
}

/// Returns what a word of yes or no says.
pub(super) fn said(word: &str) -> Option<bool> {
    match (word, Reading::of(word)) {
        ("1", _) => Some(true),
        ("0", _) => Some(false),
        (_, Reading::Bool(said)) => Some(said),
        (word, _) => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
    }
}

/// Expands a leading `~` to the home directory.
pub(super) fn home_expanded(path: &str) -> PathBuf {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}
