//! The part of JSON Schema that docs/*.schema.json use: enough to tell whether a value is what was promised.

use serde_json::Value;

/// Returns why `value` is not what `schema` says; `None` if it is.
///
/// # Panics
/// If the schema uses a keyword that this does not know: a test that cannot fail is worse than none.
pub fn fault(schema: &Value, value: &Value) -> Option<String> {
    of(schema, schema, value, "$")
}

fn of(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let rules = schema.as_object().unwrap_or_else(|| panic!("{schema} is no schema"));
    rules.iter().find_map(|(rule, wanted)| check(root, rules, rule, wanted, value, at))
}

fn check(
    root: &Value,
    rules: &serde_json::Map<String, Value>,
    rule: &str,
    wanted: &Value,
    value: &Value,
    at: &str,
) -> Option<String> {
    let wrong = |why: String| Some(format!("{at}: {why}: {value}"));
    match rule {
        "$schema" | "$defs" | "title" | "description" => None,
        "$ref" => {
            let path = wanted.as_str().and_then(|path| path.strip_prefix('#')).expect("a path in the schema");
            of(root, root.pointer(path).unwrap_or_else(|| panic!("no {path}")), value, at)
        }
        "oneOf" => {
            let faults: Vec<String> =
                array(wanted).iter().filter_map(|schema| of(root, schema, value, at)).collect();
            let fits = array(wanted).len() - faults.len();
            if fits == 1 { None } else { wrong(format!("{fits} kinds fit: {}", faults.join("; "))) }
        }
        "const" if value != wanted => wrong(format!("is not {wanted}")),
        "enum" if !array(wanted).contains(value) => wrong(format!("is none of {wanted}")),
        "const" | "enum" => None,
        "type" => {
            let types: Vec<&Value> = wanted.as_array().map_or(vec![wanted], |types| types.iter().collect());
            let is = types.iter().any(|name| is_a(name.as_str().expect("a name"), value));
            if is { None } else { wrong(format!("is no {wanted}")) }
        }
        "minimum" | "maximum" => {
            let (Some(number), Some(bound)) = (value.as_f64(), wanted.as_f64()) else { return None };
            let is_within = if rule == "minimum" { number >= bound } else { number <= bound };
            if is_within { None } else { wrong(format!("is beyond the {rule} {bound}")) }
        }
        "required" => {
            let missing =
                array(wanted).iter().find(|name| value.get(name.as_str().expect("a name")).is_none());
            missing.and_then(|name| wrong(format!("has no {name}")))
        }
        "properties" => {
            let known = wanted.as_object().expect("an object");
            let fields = value.as_object()?.iter();
            fields
                .clone()
                .find_map(|(name, field)| of(root, known.get(name)?, field, &format!("{at}.{name}")))
        }
        "additionalProperties" => {
            assert_eq!(wanted, &Value::Bool(false), "nothing else is known here");
            let known = rules["properties"].as_object().expect("an object");
            let other = value.as_object()?.keys().find(|name| !known.contains_key(*name));
            other.and_then(|name| wrong(format!("has {name}, which is not in the schema")))
        }
        "items" => {
            let items = value.as_array()?.iter().enumerate();
            items.into_iter().find_map(|(i, item)| of(root, wanted, item, &format!("{at}[{i}]")))
        }
        rule => panic!("the rule {rule} is not known here"),
    }
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no array"))
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        name => panic!("the type {name} is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_as_promised_is_found() {
        let schema = json!({
            "oneOf": [{ "$ref": "#/$defs/a" }],
            "$defs": { "a": {
                "type": "object", "additionalProperties": false, "required": ["kind", "count"],
                "properties": {
                    "kind": { "const": "a" },
                    "count": { "type": "integer", "minimum": 0 },
                    "names": { "type": ["array", "null"], "items": { "enum": ["x", "y"] } }
                }
            } }
        });
        let is_right = |value: Value| fault(&schema, &value).is_none();
        assert!(is_right(json!({ "kind": "a", "count": 3, "names": ["x", "y"] })));
        assert!(is_right(json!({ "kind": "a", "count": 0, "names": null })));
        for wrong in [
            json!({ "kind": "b", "count": 3 }),
            json!({ "kind": "a" }),
            json!({ "kind": "a", "count": -1 }),
            json!({ "kind": "a", "count": 1.5 }),
            json!({ "kind": "a", "count": 1, "names": ["z"] }),
            json!({ "kind": "a", "count": 1, "more": 1 }),
            json!([]),
        ] {
            assert!(!is_right(wrong.clone()), "{wrong}");
        }
    }
}
