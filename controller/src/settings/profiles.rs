//! The profiles of glancecast's configuration that pushes may name. A profile is a multicast group with its interface and
//! key; at most one push goes to each at a time, and each has its own queue.

/// Checks the names, and adds the default profile, which has none, in front.
///
/// # Errors
/// One line about the first mistake.
pub(super) fn profiles(written: Vec<String>) -> Result<Vec<Option<String>>, String> {
    if written.len() > PROFILES_MAX {
        return Err(format!("profiles: there are at most {PROFILES_MAX}, each with a child of its own"));
    }
    if let Some(name) = written.iter().find(|name| !is_name(name)) {
        return Err(format!("profiles: {name:?} is no name: letters, digits, - and _, at most {NAME_MAX}"));
    }
    let mut profiles: Vec<Option<String>> = written.into_iter().map(Some).collect();
    profiles.push(None);
    profiles.sort();
    profiles.dedup();
    Ok(profiles)
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(plain)
}

/// The length of the column.
const NAME_MAX: usize = 64;
/// Each profile may have a running child.
const PROFILES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_always_there_and_names_are_plain() {
        let written = |names: &[&str]| profiles(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(written(&[]), Ok(vec![None]));
        assert_eq!(written(&["b", "a", "b"]), Ok(vec![None, Some("a".into()), Some("b".into())]));
        for odd in ["a b", "", "a=b", "ä", "a/b"] {
            assert!(written(&[odd]).is_err(), "{odd}");
        }
    }
}
