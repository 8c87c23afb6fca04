//! Effects: what an accepted action changes beside the fields that its params name.
//!
//! **Invariant:** an effect's words and its table have the same meaning.

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Problem, Source, nearest};
use super::guard::variable;
use super::section::Section;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A counter goes up by 1.
    Increment(String),
    /// A counter goes down by 1 and stops at 0.
    Decrement(String),
    /// A bool is set.
    SetBool {
        /// The bool.
        var: String,
        /// To what.
        value: bool,
    },
    /// An event for the world outside, recorded only.
    Emit(String),
    /// Runs the integrations of this name.
    Trigger(String),
    /// Appends the param of the list's name; a set takes no repeats.
    ListAppend(String),
    /// Removes the item at the index that the param `<var>_index` names.
    ListRemoveAt(String),
    /// Calls an action of this entity later.
    Schedule {
        /// The action.
        action: String,
        /// Counted from the event's timestamp.
        delay_seconds: u64,
    },
    /// Calls an action of this entity at the time that a field names.
    ScheduleAt {
        /// The action.
        action: String,
        /// A field that holds an RFC 3339 time.
        field: String,
    },
    /// Creates another entity.
    Spawn {
        /// Its type.
        entity_type: String,
        /// `{uuid}`, or the param or field that holds its id.
        entity_id_source: String,
        /// Called on it once created.
        initial_action: Option<String>,
        /// The field of this entity that takes the child's id.
        store_id_in: Option<String>,
        /// Fields whose logical values the child is created with.
        copy_fields: Vec<String>,
    },
}

/// Where a spawned entity takes a fresh id from.
pub const FRESH_ID: &str = "{uuid}";

const WORDS: [&str; 7] =
    ["increment", "decrement", "set", "emit", "trigger", "list_append", "list_remove_at"];
const TABLES: [&str; 10] = [
    "increment",
    "decrement",
    "set_bool",
    "emit",
    "trigger",
    "list_append",
    "list_remove_at",
    "schedule",
    "schedule_at",
    "spawn",
];

fn parse_words(text: &str) -> Result<Effect, Problem> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let var = |name: &str| variable(name).ok_or_else(|| Problem::MalformedEffect(text.to_owned()));
    match words.as_slice() {
        ["increment", name] => Ok(Effect::Increment(var(name)?)),
        ["decrement", name] => Ok(Effect::Decrement(var(name)?)),
        ["set", name, value @ ("true" | "false")] => {
            Ok(Effect::SetBool { var: var(name)?, value: *value == "true" })
        }
        ["emit", event] => Ok(Effect::Emit((*event).to_owned())),
        ["trigger", name] => Ok(Effect::Trigger((*name).to_owned())),
        ["list_append", name] => Ok(Effect::ListAppend(var(name)?)),
        ["list_remove_at", name] => Ok(Effect::ListRemoveAt(var(name)?)),
        [word, ..] if WORDS.contains(word) => Err(Problem::MalformedEffect(text.to_owned())),
        [word, ..] => Err(unknown(word, &WORDS)),
        [] => Err(Problem::MalformedEffect(text.to_owned())),
    }
}

fn unknown(effect: &str, known: &[&str]) -> Problem {
    let nearest = nearest(effect, known.iter().copied());
    Problem::UnknownEffect { effect: effect.to_owned(), nearest }
}

/// Reads `effect`: words, an array of words or tables, or a string that holds such an array.
pub(super) fn read(source: &mut Source<'_>, value: &Spanned<DeValue<'_>>) -> Vec<Effect> {
    let span = value.span();
    match value.get_ref() {
        DeValue::String(text) if text.trim_start().starts_with('[') => {
            read_held(source, value, text)
        }
        DeValue::String(text) => match parse_words(text) {
            Ok(effect) => vec![effect],
            Err(problem) => {
                source.error(&span, "action.effect", problem);
                Vec::new()
            }
        },
        DeValue::Array(items) => items.iter().flat_map(|item| read(source, item)).collect(),
        DeValue::Table(table) => {
            let section = Section::new("action.effect", table, span);
            read_table(source, &section).into_iter().collect()
        }
        _ => {
            source.error(&span, "action.effect", Problem::Expected("an effect"));
            Vec::new()
        }
    }
}

/// An array inside a string: its own places mean nothing in the file, so the string's is named.
fn read_held(source: &mut Source<'_>, outer: &Spanned<DeValue<'_>>, text: &str) -> Vec<Effect> {
    let Ok(array) = DeValue::parse(text) else {
        let problem = Problem::MalformedEffect(text.to_owned());
        source.error(&outer.span(), "action.effect", problem);
        return Vec::new();
    };
    let mut inner = Source::new(source.file, text, source.lenient);
    let effects = read(&mut inner, &array);
    for diagnostic in inner.into_diagnostics() {
        source.found_within(&outer.span(), diagnostic);
    }
    effects
}

fn read_table(source: &mut Source<'_>, section: &Section<'_, '_>) -> Option<Effect> {
    let (kind, kind_span) = section.required_text(source, "type")?;
    let known: &[&str] = match kind.as_str() {
        "increment" | "decrement" | "list_append" | "list_remove_at" => &["type", "var"],
        "set_bool" => &["type", "var", "value"],
        "emit" => &["type", "event", "name"],
        "trigger" => &["type", "name"],
        "schedule" => &["type", "action", "delay_seconds"],
        "schedule_at" => &["type", "action", "field"],
        "spawn" => &[
            "type",
            "entity_type",
            "entity_id_source",
            "initial_action",
            "store_id_in",
            "copy_fields",
        ],
        _ => {
            source.error(&kind_span, "action.effect.type", unknown(&kind, &TABLES));
            return None;
        }
    };
    section.refuse_unknown(source, known);
    let mut required = |key| section.required_text(source, key).map(|(text, _)| text);
    Some(match kind.as_str() {
        "increment" => Effect::Increment(required("var")?),
        "decrement" => Effect::Decrement(required("var")?),
        "list_append" => Effect::ListAppend(required("var")?),
        "list_remove_at" => Effect::ListRemoveAt(required("var")?),
        "trigger" => Effect::Trigger(required("name")?),
        "emit" => {
            let key = if section.get("event").is_some() { "event" } else { "name" };
            Effect::Emit(required(key)?)
        }
        "schedule_at" => {
            Effect::ScheduleAt { action: required("action")?, field: required("field")? }
        }
        "set_bool" => {
            let var = required("var")?;
            required_key(source, section, "value");
            Effect::SetBool { var, value: section.flag(source, "value")? }
        }
        "schedule" => {
            let action = required("action")?;
            required_key(source, section, "delay_seconds");
            let delay_seconds = section.number(source, "delay_seconds", 0..3_153_600_001)?;
            Effect::Schedule { action, delay_seconds }
        }
        _ => read_spawn(source, section)?,
    })
}

fn required_key(source: &mut Source<'_>, section: &Section<'_, '_>, key: &str) {
    if section.get(key).is_none() {
        source.error(&section.span, &section.key(key), Problem::Missing);
    }
}

fn read_spawn(source: &mut Source<'_>, section: &Section<'_, '_>) -> Option<Effect> {
    let (entity_type, _) = section.required_text(source, "entity_type")?;
    let optional = |source: &mut Source<'_>, key| section.text(source, key).map(|(text, _)| text);
    let id_source = optional(source, "entity_id_source");
    let copy_fields = section.texts(source, "copy_fields").unwrap_or_default();
    Some(Effect::Spawn {
        entity_type,
        entity_id_source: id_source.unwrap_or_else(|| FRESH_ID.to_owned()),
        initial_action: optional(source, "initial_action"),
        store_id_in: optional(source, "store_id_in"),
        copy_fields: copy_fields
            .iter()
            .flat_map(|(names, _)| names.split(','))
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_tables_mean_the_same() {
        let pairs = [
            ("\"increment n\"", "{ type = \"increment\", var = \"n\" }"),
            ("\"set b false\"", "{ type = \"set_bool\", var = \"b\", value = \"false\" }"),
            ("\"trigger t\"", "[{ type = \"trigger\", name = \"t\" }]"),
            ("[\"list_append l\"]", "'[{ type = \"list_append\", var = \"l\" }]'"),
        ];
        for (words, table) in pairs {
            let read_one = |text: &str| {
                let mut source = Source::new("x", text, false);
                let effects = read(&mut source, &DeValue::parse(text).unwrap());
                assert_eq!(source.into_diagnostics(), []);
                effects
            };
            assert_eq!(read_one(words), read_one(table));
            assert_eq!(read_one(words).len(), 1);
        }
    }

    #[test]
    fn a_misspelled_effect_names_the_nearest() {
        let Err(problem) = parse_words("incremnt n") else { panic!("it was taken") };
        assert_eq!(problem.to_string(), "unknown effect `incremnt`, did you mean `increment`?");
        assert!(matches!(parse_words("set b maybe"), Err(Problem::MalformedEffect(_))));
    }
}
