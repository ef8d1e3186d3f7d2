//! The format as JSON Schema (draft 2020-12), for editors.
//!
//! What a schema cannot say, such as that a name is known or a glob is one, is for `driftwatch check`.

use serde_json::{Map, Value, json};

use super::{
    Field, Holds, VERSION, With, below, field,
    holds::{NAME_BYTES, PRIVILEGES},
};

/// A name of ours.
const NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";
/// The name of a list.
const LIST_NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?$";
const GRANT_ID: &str = "^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$";
/// Another list.
const LIST: &str = "@[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?";

/// The schema of a rule file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object("");
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert(
        "title".into(),
        json!(format!("Driftwatch rules, version {VERSION} of the format")),
    );
    let description =
        "A file of rules for AI agents: who they are, what they may do, what they may never do.";
    schema.insert("description".into(), json!(description));
    schema.insert("$defs".into(), definitions());
    Value::Object(schema)
}

/// What is said in one place and used in many.
fn definitions() -> Value {
    let word = json!({ "type": ["string", "number"] });
    let words = json!({ "type": "array", "minItems": 1, "items": word });
    json!({
        "name": { "type": "string", "pattern": NAME, "maxLength": NAME_BYTES },
        "listName": { "type": "string", "pattern": LIST_NAME, "maxLength": NAME_BYTES },
        "grantId": { "type": "string", "pattern": GRANT_ID, "maxLength": NAME_BYTES },
        "line": { "type": "string", "pattern": r"^[^\n\r\t]*[^\s][^\n\r\t]*$" },
        "prose": { "type": "string", "pattern": r"\S" },
        "path": { "type": "string", "pattern": "^/" },
        "glob": { "type": "string", "minLength": 1 },
        "file": { "type": "string", "pattern": format!(r"^(/|~/|\*\*/|\{{|{LIST}$)") },
        "destination": { "type": "string", "pattern": format!(r"^({LIST}(:.+)?|[^@]((?!://).)*)$") },
        "privilege": { "anyOf": [{ "enum": PRIVILEGES }, { "type": "string", "pattern": format!("^{LIST}$") }] },
        "duration": { "type": "string", "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$" },
        "end": {
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?$",
        },
        "arguments": { "oneOf": [{ "type": "string", "pattern": r"\S" }, words] },
        "program": { "oneOf": [{ "type": "string", "pattern": r"\S" }, object("rules.exec.never")] },
    })
}

/// A map with the keys that stand below `path`.
fn object(path: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut dependent = Map::new();
    for field in below(path) {
        properties.insert(field.key().to_owned(), property(field));
        if let Some(condition) = condition(field.with) {
            dependent.insert(field.key().to_owned(), condition);
        }
    }
    let required: Vec<&str> = below(path).filter(|field| field.required).map(Field::key).collect();
    let one_of = field(path).map_or(&[][..], |field| field.one_of);
    let Value::Object(mut object) = json!({ "type": "object", "additionalProperties": false })
    else {
        return Map::new();
    };
    if one_of.len() == properties.len() && !one_of.is_empty() {
        object.insert("minProperties".into(), json!(1));
        object.insert("maxProperties".into(), json!(1));
    } else if !one_of.is_empty() {
        let each = one_of.iter().map(|key| json!({ "required": [key] }));
        object.insert("oneOf".into(), each.collect());
    }
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    if !dependent.is_empty() {
        object.insert("dependentSchemas".into(), Value::Object(dependent));
    }
    object.insert("properties".into(), Value::Object(properties));
    object
}

/// What a field asks of the map that it stands in.
fn condition(with: With) -> Option<Value> {
    match with {
        With::Nothing => None,
        With::Key(keys) => {
            let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
            Some(json!({ "anyOf": each }))
        }
        With::Word(key, words) => {
            Some(json!({ "properties": { key: { "enum": words } }, "required": [key] }))
        }
    }
}

/// The value of a field, with what people are told of it.
fn property(field: &Field) -> Value {
    let mut value = value(&field.holds, &field.path);
    value["title"] = json!(field.path);
    value["description"] = json!(field.meaning);
    if let (Holds::Word(words), Some(default)) = (&field.holds, field.default)
        && words.contains(&default)
    {
        value["default"] = json!(default);
    }
    value
}

fn value(holds: &Holds, path: &str) -> Value {
    match holds {
        Holds::Version => json!({ "const": VERSION }),
        Holds::Word(words) => json!({ "enum": words }),
        Holds::Id(pattern, _) => json!({ "type": "string", "pattern": pattern }),
        Holds::User => {
            json!({ "anyOf": [{ "type": "string", "pattern": r"\S" }, { "type": "integer", "minimum": 0 }] })
        }
        Holds::Argument => json!({ "type": ["string", "number"] }),
        Holds::Count => {
            json!({ "type": "integer", "minimum": 1, "maximum": crate::rules::parse_rule::USES })
        }
        Holds::Map => Value::Object(object(path)),
        Holds::Named(each) => map("name", value(each, path)),
        Holds::Lists(each) => map("listName", value(each, path)),
        Holds::Keyed(each) => label(&value(each, path)),
        Holds::List(least, item) => json!({
            "type": "array",
            "minItems": least,
            // Arguments may come twice, and maps are compared by nobody.
            "uniqueItems": !matches!(item, Holds::Argument | Holds::Map | Holds::Program | Holds::Any),
            "items": value(item, path),
        }),
        Holds::Either(first, second) => {
            json!({ "oneOf": [value(first, path), value(second, path)] })
        }
        other => json!({ "$ref": format!("#/$defs/{}", definition(other)) }),
    }
}

fn map(names: &str, value: Value) -> Value {
    let names = json!({ "$ref": format!("#/$defs/{names}") });
    json!({ "type": "object", "propertyNames": names, "additionalProperties": value })
}

/// One label.
fn label(value: &Value) -> Value {
    let value = json!({ "anyOf": [value, { "type": "number" }] });
    json!({ "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": value })
}

/// What a kind of text is called in [`definitions`].
const fn definition(holds: &Holds) -> &'static str {
    match holds {
        Holds::Name => "name",
        Holds::GrantId => "grantId",
        Holds::Prose => "prose",
        Holds::Path => "path",
        Holds::PathGlob | Holds::TextGlob | Holds::UnitGlob | Holds::Variable => "glob",
        Holds::Arguments => "arguments",
        Holds::Program | Holds::Any => "program",
        Holds::File => "file",
        Holds::Destination | Holds::Local | Holds::Peer | Holds::LocalPeer => "destination",
        Holds::Privilege => "privilege",
        Holds::Duration => "duration",
        Holds::End => "end",
        _ => "line",
    }
}
