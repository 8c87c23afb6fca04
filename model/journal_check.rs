//! The rows of `events` of one entity against its possible pasts.
//!
//! Verified: I1 and I2 (every event that was acknowledged or seen is there, unchanged; none that
//! nobody asked for), I4 (params of the platform's own requests, copied values), I15 (events of no
//! intent, intents of no event), I3 (1 to N, each key once), I18 (a timestamp lies between request and
//! answer), I19 and I10 (how each field is kept, and until when). Not verified: payloads, hashes
//! and metadata of rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::canonical::{brief, same, same_maps};
use crate::clock::Span;
use crate::decide::is_valid_id;
use crate::entity::{Event, Kept};
use crate::fit::{same_transition, stamp_fits};
use crate::inner::{Intended, Intent, is_platforms};
use crate::project::written_with;
use crate::tables::{EventRow, IntentRow, KeptRow};
use crate::violation::{Invariant, Mismatch};
use crate::words::{key, utc};
use crate::world::{Search, World};

/// The pasts that agree with rows.
#[derive(Debug, Default)]
pub struct Agreement {
    /// Each past as far as answers have shown it, its timestamps now known.
    pub shown: Vec<World>,
    /// The same pasts, extended by the rows that only requests in doubt explain.
    pub whole: Vec<World>,
}

/// I3: rows in order must be numbered 1 to N, and use each key once.
pub fn sequence(rows: &[&EventRow]) -> Option<Mismatch> {
    let mut keys = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        let expected = index as u64 + 1;
        if row.sequence_nr != expected {
            let place =
                if row.sequence_nr < expected { "sequence repeats" } else { "sequence gap" };
            let actual = format!("event {}", row.sequence_nr);
            return Some(Mismatch::new(Invariant::I3, place, format!("event {expected}"), actual));
        }
        if row.key.as_ref().is_some_and(|key| !keys.insert(key)) {
            let actual = format!("again by event {}", row.sequence_nr);
            return Some(Mismatch::new(Invariant::I3, "key applied twice", "a key once", actual));
        }
    }
    None
}

/// The pasts that agree with an entity's rows, which are in order. None agreeing, the reason is in
/// the search.
pub fn agree(worlds: &[World], rows: &[&EventRow], search: &mut Search<'_>) -> Agreement {
    let mut agreement = Agreement::default();
    for world in worlds {
        let mut shown = world.clone();
        if let Err((explained, mismatch)) = prefix(&mut shown, rows) {
            search.note(explained, mismatch);
            continue;
        }
        let found = agreement.whole.len();
        extend(&shown, rows, search, &mut agreement.whole);
        if agreement.whole.len() > found {
            agreement.shown.push(shown);
        }
    }
    agreement
}

/// What is in the journal for sure must be in the rows, unchanged (I1, I2).
fn prefix(world: &mut World, rows: &[&EventRow]) -> Result<(), (u64, Mismatch)> {
    for sequence_nr in 1..=world.version() {
        let event = world.journal[sequence_nr as usize - 1].clone();
        let is_acked = world.acks.contains_key(&sequence_nr);
        let Some(row) = rows.get(sequence_nr as usize - 1) else {
            return Err((sequence_nr, missing(world, sequence_nr)));
        };
        if let Err(mut mismatch) = same_event(world, &event, row) {
            if is_acked && mismatch.invariant == Invariant::I2 {
                mismatch.invariant = Invariant::I1;
            }
            return Err((sequence_nr, mismatch));
        }
        learn(world, row);
    }
    Ok(())
}

/// Takes from a row that fits what was not known.
fn learn(world: &mut World, row: &EventRow) {
    world.learn_stamp(row.sequence_nr, row.timestamp_ms);
    for (n, intent) in row.intents.iter().enumerate() {
        if let IntentRow::Spawn { entity_id, .. } = intent {
            world.learn_id(row.sequence_nr, n as u64, entity_id);
        }
    }
}

fn missing(world: &World, first: u64) -> Mismatch {
    let acked = world.acks.range(first..).next().map(|(sequence_nr, _)| *sequence_nr);
    let sequence_nr = acked.unwrap_or(first);
    let action = &world.journal[sequence_nr as usize - 1].action;
    let expected = format!("event {sequence_nr} ({action})");
    let actual = match first - 1 {
        0 => "an empty journal".to_owned(),
        1 => "a journal of 1 event".to_owned(),
        count => format!("a journal of {count} events"),
    };
    let (invariant, place, how) = match acked {
        Some(_) => (Invariant::I1, "acknowledged event missing", "was acknowledged"),
        None => (Invariant::I2, "seen event missing", "had been seen"),
    };
    Mismatch::new(invariant, place, expected, actual).because(format!("event {sequence_nr} {how}"))
}

/// Rows beyond what is sure must each be the effect of a request that may still take effect.
fn extend(world: &World, rows: &[&EventRow], search: &mut Search<'_>, found: &mut Vec<World>) {
    let version = world.version();
    let Some(row) = rows.get(version as usize) else {
        found.push(world.clone());
        return;
    };
    if !search.spend() {
        return;
    }
    let inner = world.inner_candidates(search);
    for op in world.candidates(search, None).into_iter().chain(&inner) {
        // A key of the platform's own says which intent it was, whatever came of it.
        let is_its_action = op.is_inner() || op.request.action() == row.action;
        let asks_for_it = is_its_action && op.request.key == row.key;
        let Some(mut next) = world.with(op, search) else {
            if asks_for_it {
                search.note(version + 1, against_the_model(row));
            }
            continue;
        };
        let event = next.journal[version as usize].clone();
        match same_event(&next, &event, row) {
            Ok(()) => {
                learn(&mut next, row);
                extend(&next, rows, search, found);
            }
            Err(mismatch) if asks_for_it && op.is_inner() => {
                search.note(version + 1, made_otherwise(mismatch));
            }
            Err(mismatch) if asks_for_it => search.note(version + 1, mismatch),
            Err(_) => {}
        }
    }
    search.note(version + 1, of_no_request(row));
}

fn against_the_model(row: &EventRow) -> Mismatch {
    let actual = format!("event {} ({})", row.sequence_nr, row.action);
    Mismatch::new(Invariant::I18, "accepted against the model", "a rejection", actual)
}

/// I4: what the platform read for itself, or a guest read, was something else.
fn made_otherwise(mismatch: Mismatch) -> Mismatch {
    let place = match mismatch.place {
        "event differs" => "callback differs",
        "params differ" => "params of a callback differ",
        _ => return mismatch,
    };
    Mismatch { invariant: Invariant::I4, place, ..mismatch }
}

fn of_no_request(row: &EventRow) -> Mismatch {
    if is_platforms(row.key.as_deref()) {
        let key = key(row.key.as_deref());
        let actual = format!("event {} ({}) with {key}", row.sequence_nr, row.action);
        return Mismatch::new(Invariant::I15, "event of no intent", "no such event", actual)
            .because("no intent that is due and open explains it");
    }
    let actual = format!("event {} ({})", row.sequence_nr, row.action);
    Mismatch::new(Invariant::I2, "event of no request", "no such event", actual)
        .because("no request that may still take effect explains it")
}

fn same_event(world: &World, event: &Event, row: &EventRow) -> Result<(), Mismatch> {
    same_transition(event, (&row.action, &row.from, &row.to))?;
    same_params(event, row)?;
    if event.key != row.key {
        let (expected, actual) = (key(event.key.as_deref()), key(row.key.as_deref()));
        return Err(Mismatch::new(Invariant::I2, "key differs", expected, actual));
    }
    stamp_fits(event, row.timestamp_ms)?;
    for name in event.writes.keys() {
        same_kept(event, name, row)?;
    }
    same_intents(world, event, row)?;
    if let Some(name) = row.kept.keys().find(|name| !is_written(event, name)) {
        let actual = format!("{name} kept by event {}", row.sequence_nr);
        return Err(Mismatch::new(Invariant::I19, "field of no write", "no such field", actual));
    }
    Ok(())
}

/// Every intent of the event and none other, in order; ids that were known before (I11), and the values
/// that spawns copied (I4).
fn same_intents(world: &World, event: &Event, row: &EventRow) -> Result<(), Mismatch> {
    let expected: Vec<String> = event.intents.iter().map(|i| intended(i, row)).collect();
    let actual: Vec<String> = row.intents.iter().map(written).collect();
    if expected != actual {
        let (expected, actual) = (expected.join(", "), actual.join(", "));
        return Err(Mismatch::new(Invariant::I15, "intents differ", expected, actual));
    }
    for (intent, row_intent) in event.intents.iter().zip(&row.intents) {
        if let (Intended::Spawn { spawn, id }, IntentRow::Spawn { entity_id, fields, .. }) =
            (&intent.what, row_intent)
        {
            if id.as_ref().is_some_and(|id| id != entity_id) || !is_valid_id(entity_id) {
                let expected = id.clone().unwrap_or_else(|| "an id".to_owned());
                let place = "id of a child changed";
                return Err(Mismatch::new(Invariant::I11, place, expected, entity_id));
            }
            let kept = spawn.store_id_in.map(|field| row.ids.get(field));
            if kept.is_some_and(|kept| kept != Some(entity_id)) {
                let actual = kept.flatten().map_or("no id", String::as_str);
                let place = "id of a child not kept";
                return Err(Mismatch::new(Invariant::I11, place, entity_id, actual));
            }
            // By the timestamp of the row itself, which may be all that is known of it.
            let event = Event { stamp: Span::exactly(row.timestamp_ms), ..event.clone() };
            let copies = world.copies(&event, spawn);
            if !copies.iter().any(|copy| same_maps(copy, fields)) {
                let text = |map: &Map<String, Value>| brief(&Value::Object(map.clone()));
                let (expected, actual) =
                    (copies.first().map_or_else(String::new, text), text(fields));
                return Err(Mismatch::new(Invariant::I4, "copied values differ", expected, actual));
            }
        }
    }
    Ok(())
}

fn intended(intent: &Intent, row: &EventRow) -> String {
    match &intent.what {
        Intended::Trigger(integration) => format!("trigger {}", integration.name),
        Intended::Schedule { action, .. } => {
            let due = intent.due(Span::exactly(row.timestamp_ms));
            format!("{action} at {}", due.map_or("no time".to_owned(), |due| utc(due.lo_ms)))
        }
        Intended::Spawn { spawn, .. } => {
            format!("{} and {}", spawn.entity_type, spawn.initial_action.unwrap_or("nothing"))
        }
    }
}

fn written(intent: &IntentRow) -> String {
    match intent {
        IntentRow::Trigger { integration } => format!("trigger {integration}"),
        IntentRow::Schedule { action, due_at_ms } => format!("{action} at {}", utc(*due_at_ms)),
        IntentRow::Spawn { entity_type, initial_action, .. } => {
            format!("{entity_type} and {}", initial_action.as_deref().unwrap_or("nothing"))
        }
    }
}

fn is_written(event: &Event, name: &str) -> bool {
    event.writes.contains_key(name) || name == "Id" || name == "Status"
}

fn same_params(event: &Event, row: &EventRow) -> Result<(), Mismatch> {
    let is_creation = event.action == "Created";
    let is_id = |name: &str| is_creation && name == "Id";
    let extra = |name: &str| !event.params.contains_key(name) && !is_id(name);
    let differs = |expected: String, actual: String| {
        Mismatch::new(Invariant::I2, "params differ", expected, actual)
            .because(format!("event {} was asked with them", event.sequence_nr))
    };
    if let Some((name, value)) = row.params.iter().find(|(name, _)| extra(name)) {
        return Err(differs("no such param".into(), format!("{name} = {}", brief(value))));
    }
    for (name, content) in &event.params {
        let expected = || format!("{name} = {}", brief(content.value()));
        match row.params.get(name) {
            Some(value) if same(value, content.value()) => {}
            Some(value) => return Err(differs(expected(), format!("{name} = {}", brief(value)))),
            None => return Err(differs(expected(), "no such param".into())),
        }
    }
    Ok(())
}

/// Whether a param may have written a field: one with the name of a counter or flag feeds effects only.
fn is_of_param(event: &Event, name: &str) -> bool {
    let written = &event.writes[name].content;
    let is_fed = written.value().is_number() || written.value().is_boolean();
    event.params.get(name).is_some_and(|param| !is_fed || Arc::ptr_eq(param, written))
}

/// I19: a field is kept as its size and ceiling say, under the key of the model's canonical bytes.
fn same_kept(event: &Event, name: &str, row: &EventRow) -> Result<(), Mismatch> {
    let written = written_with(event, name, row.ids.get(name).map(String::as_str));
    let expected = match &written.kept {
        Kept::Inline => KeptRow::Inline,
        Kept::Truncated { limit_bytes } => KeptRow::Truncated { limit_bytes: *limit_bytes },
        Kept::Blob { ttl_ms } => KeptRow::Blob {
            key: written.content.key().to_owned(),
            size_bytes: written.content.size_bytes(),
            deadline_ms: ttl_ms
                .map(|ttl_ms| Span::exactly(row.timestamp_ms).plus_ttl(ttl_ms).lo_ms),
        },
    };
    let text = |kept: &KeptRow| format!("{name} {kept}");
    let place = match (row.kept.get(name), &expected) {
        (Some(kept), _) if *kept == expected => return Ok(()),
        // An inline value that no param wrote (an initial value, a counter, a flag) needs no entry.
        (None, KeptRow::Inline) if !is_of_param(event, name) => return Ok(()),
        (None, _) => "field not projected",
        (Some(KeptRow::Blob { key, .. }), KeptRow::Blob { key: right, .. }) if key != right => {
            "key differs"
        }
        (Some(KeptRow::Blob { size_bytes, .. }), KeptRow::Blob { size_bytes: right, .. })
            if size_bytes != right =>
        {
            "size differs"
        }
        (Some(KeptRow::Blob { .. }), KeptRow::Blob { .. }) => {
            let actual = row.kept.get(name).map_or_else(String::new, text);
            let place = "deadline is not timestamp plus ttl";
            return Err(Mismatch::new(Invariant::I10, place, text(&expected), actual));
        }
        (Some(_), KeptRow::Inline) => "kept elsewhere though within the ceiling",
        (Some(_), _) => "kept otherwise though above the ceiling",
    };
    let actual = row.kept.get(name).map_or_else(|| "no such field".to_owned(), text);
    let size_bytes = written.content.size_bytes();
    Err(Mismatch::new(Invariant::I19, place, text(&expected), actual)
        .because(format!("its canonical JSON has {size_bytes} bytes")))
}
