//! Guards, effects and assertions of a spec, in words or as tables.
//!
//! **Invariant:** words and tables of one meaning make the same value.

use super::{Holds, Read, listed, name, names, needed, number, optional, wrong};
use stormglass_model::automaton::{Effect, Guard, Spawn};
use toml::{Table, Value};

/// The guards that a value of `guard` stands for.
pub fn guards(value: &Value) -> Read<Vec<Guard>> {
    match value {
        Value::String(text) => match guard(text) {
            Some(guard) => Ok(vec![guard]),
            None => wrong(format!("guard `{text}`")),
        },
        Value::Array(items) => {
            let read = items.iter().map(guards).collect::<Read<Vec<_>>>()?;
            Ok(read.concat())
        }
        Value::Table(table) => Ok(vec![guard_table(table)?]),
        _ => wrong("a guard that is neither words nor a table"),
    }
}

/// A variable's name, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

fn is_variable(word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
    !word.is_empty() && word.chars().all(is_part)
}

fn guard(text: &str) -> Option<Guard> {
    if let Some(rest) = text.trim().strip_prefix('!') {
        return Some(rest.trim())
            .filter(|var| is_variable(var))
            .map(|var| Guard::IsFalse(name(var)));
    }
    let (first, rest) = split(text);
    let (second, last) = split(rest);
    let count = || last.parse::<i64>().ok().filter(|count| *count >= 0);
    let var = Some(second).filter(|var| is_variable(var)).map(name);
    match (first, second) {
        (_, "") => Some(first).filter(|var| is_variable(var)).map(|var| Guard::IsTrue(name(var))),
        ("is_true", _) if last.is_empty() => Some(Guard::IsTrue(var?)),
        ("is_false", _) if last.is_empty() => Some(Guard::IsFalse(var?)),
        ("min", _) => Some(Guard::AtLeast(var?, count()?)),
        ("max", _) => Some(Guard::Below(var?, count()?)),
        ("list_length_min", _) => Some(Guard::ListLengthAtLeast(var?, count()? as usize)),
        ("list_contains", _) if !last.is_empty() => {
            let inner = |mark: char| last.strip_prefix(mark)?.strip_suffix(mark);
            let literal = inner('"').or_else(|| inner('\'')).unwrap_or(last);
            Some(Guard::ListContains(var?, name(literal)))
        }
        _ if is_variable(first) => {
            let (var, count) = (name(first), count()?);
            Some(match second {
                ">" => Guard::Above(var, count),
                ">=" => Guard::AtLeast(var, count),
                "<" => Guard::Below(var, count),
                "<=" => Guard::AtMost(var, count),
                _ => return None,
            })
        }
        _ => None,
    }
}

fn guard_table(table: &Table) -> Read<Guard> {
    let kind = needed(table, "type")?;
    if kind == "state_in" {
        return Ok(Guard::StateIn(names(&listed(table, "values")?.unwrap_or_default())));
    }
    let var = name(needed(table, "var")?);
    let count = |key: &str| match number(table, key)? {
        Some(count) => i64::try_from(count).or_else(|_| wrong(format!("`{key}` of a guard"))),
        None => wrong(format!("guard without `{key}`")),
    };
    Ok(match kind {
        "min_count" | "min" => Guard::AtLeast(var, count("min")?),
        "max_count" | "max" => Guard::Below(var, count("max")?),
        "list_length_min" => Guard::ListLengthAtLeast(var, count("min")? as usize),
        "list_contains" => Guard::ListContains(var, name(needed(table, "value")?)),
        "is_true" => Guard::IsTrue(var),
        "is_false" => Guard::IsFalse(var),
        other => return wrong(format!("guard of type `{other}`")),
    })
}

/// The effects that a value of `effect` stands for.
pub fn effects(value: &Value) -> Read<Vec<Effect>> {
    match value {
        Value::String(text) if text.trim_start().starts_with('[') => {
            let held: Table = match toml::from_str(&format!("held = {}", text.trim_start())) {
                Ok(held) => held,
                Err(_) => return wrong(format!("effect `{text}`")),
            };
            held.get("held").map_or(Ok(Vec::new()), effects)
        }
        Value::String(text) => match effect(text) {
            Some(effect) => Ok(vec![effect]),
            None => wrong(format!("effect `{text}`")),
        },
        Value::Array(items) => {
            let read = items.iter().map(effects).collect::<Read<Vec<_>>>()?;
            Ok(read.concat())
        }
        Value::Table(table) => Ok(vec![effect_table(table)?]),
        _ => wrong("an effect that is neither words nor a table"),
    }
}

fn effect(text: &str) -> Option<Effect> {
    let (verb, rest) = split(text);
    let (object, last) = split(rest);
    let object = Some(object).filter(|object| !object.is_empty()).map(name)?;
    match (verb, last) {
        ("increment", "") => Some(Effect::Increment(object)),
        ("decrement", "") => Some(Effect::Decrement(object)),
        ("set", "true") => Some(Effect::SetFlag(object, true)),
        ("set", "false") => Some(Effect::SetFlag(object, false)),
        ("emit", "") => Some(Effect::Emit(object)),
        ("trigger", "") => Some(Effect::Trigger(object)),
        ("list_append", "") => Some(Effect::ListAppend(object)),
        ("list_remove_at", "") => Some(Effect::ListRemoveAt(object)),
        _ => None,
    }
}

fn effect_table(table: &Table) -> Read<Effect> {
    let word = |key: &str| needed(table, key).map(name);
    Ok(match needed(table, "type")? {
        "increment" => Effect::Increment(word("var")?),
        "decrement" => Effect::Decrement(word("var")?),
        "list_append" => Effect::ListAppend(word("var")?),
        "list_remove_at" => Effect::ListRemoveAt(word("var")?),
        "trigger" => Effect::Trigger(word("name")?),
        "emit" => Effect::Emit(word("event").or_else(|_| word("name"))?),
        "set_bool" => {
            let value = match table.get("value") {
                Some(Value::Boolean(value)) => *value,
                Some(Value::String(text)) if text == "true" => true,
                Some(Value::String(text)) if text == "false" => false,
                _ => return wrong("set_bool without a value"),
            };
            Effect::SetFlag(word("var")?, value)
        }
        "schedule" => {
            let Some(seconds) = number(table, "delay_seconds")? else {
                return wrong("schedule without a delay");
            };
            Effect::Schedule { action: word("action")?, delay_ms: seconds * 1_000 }
        }
        "schedule_at" => Effect::ScheduleAt { action: word("action")?, field: word("field")? },
        "spawn" => Effect::Spawn(spawn(table)?),
        other => return wrong(format!("effect of type `{other}`")),
    })
}

fn spawn(table: &Table) -> Read<Spawn> {
    let copied = listed(table, "copy_fields")?.unwrap_or_default();
    let copied = copied.into_iter().flat_map(|fields| fields.split(',').map(str::trim));
    Ok(Spawn {
        entity_type: name(needed(table, "entity_type")?),
        id_source: optional(table, "entity_id_source")?.filter(|source| *source != "{uuid}"),
        initial_action: optional(table, "initial_action")?,
        store_id_in: optional(table, "store_id_in")?,
        copy_fields: copied.filter(|field| !field.is_empty()).map(name).collect(),
    })
}

/// What an `assert` claims; nothing for a form that is not executed.
pub fn claim(text: &str) -> Option<Holds> {
    if text.trim() == "no_further_transitions" {
        return Some(Holds::NoFurtherTransitions);
    }
    if let Some((states, rest)) = text.split_once("=>") {
        let listed = states.trim().strip_prefix("status")?.trim_start().strip_prefix("in")?;
        let listed = listed.trim().strip_prefix('[')?.strip_suffix(']')?;
        let unquoted = |state: &str| name(state.trim().trim_matches(['\'', '"']));
        return Some(Holds::Guard(Some(listed.split(',').map(unquoted).collect()), guard(rest)?));
    }
    Some(Holds::Guard(None, guard(text)?))
}
