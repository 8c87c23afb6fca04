//! Whether one answer agrees with one version of one possible past.
//!
//! Verified: status and code against the decision (I18; I3 where it is a known key's), every field
//! of an answer (I4), expiry against the deadline and the clock readings between request and answer (I10),
//! history's events (I1, I2), the timestamps it shows (I18). Not verified: `@odata` annotations, the text
//! of messages, that two fields of one event are judged by one unknown timestamp.

use serde_json::Value;

use crate::canonical::{brief, same};
use crate::clock::Span;
use crate::decide::{Decision, KEY_REUSED, is_valid_id};
use crate::entity::{Event, Existence, Kept, is_unknown_id};
use crate::request::{Answer, EntityView, HistoryEvent, HistoryView, Kind, Rejection};
use crate::violation::{Invariant, Mismatch};
use crate::words::utc;
use crate::world::{Op, Search, World};

/// Whether `answer` fits an `op` that changed nothing at `version`: a read, a repeat, a rejection.
pub fn unchanged(
    world: &World,
    version: u64,
    op: &Op,
    answer: &Answer,
    search: &Search<'_>,
) -> Result<(), Mismatch> {
    if let Some(mismatch) = other_version(version, answer) {
        return Err(mismatch);
    }
    let span = op.stamp(search.clock, search.now);
    let is_deleted = world.state(version).existence == Existence::Deleted;
    match (world.decide_at(version, op, span), answer) {
        (Decision::Reject(allowed), _) => rejected(&allowed, answer).map_err(|mismatch| {
            // A key that was used is not known any more.
            if allowed != [KEY_REUSED] {
                return mismatch;
            }
            not_recognised(&Decision::Reject(allowed), answer)
        }),
        (Decision::Repeat, Answer::Empty { status: 204 }) if is_deleted => Ok(()),
        (Decision::Repeat, Answer::Entity { status: 200, view }) if !is_deleted => {
            shows(world, version, view, span)
        }
        (Decision::Show, Answer::Entity { status: 200, view })
            if matches!(op.request.kind, Kind::Read { .. }) =>
        {
            shows(world, version, view, span)
        }
        (Decision::Show, Answer::History(page))
            if matches!(op.request.kind, Kind::History { .. }) =>
        {
            tells(world, version, page, span)
        }
        // What was applied once is judged as if it were to be applied again.
        (Decision::Repeat, _) => Err(not_recognised(&Decision::Repeat, answer)),
        (decision, _) => Err(not_allowed(&describe(&decision), answer)),
    }
}

/// Whether `answer` fits an `op` whose event is number `version`.
pub fn accepted(
    world: &World,
    version: u64,
    op: &Op,
    answer: &Answer,
    search: &Search<'_>,
) -> Result<(), Mismatch> {
    if let Some(mismatch) = other_version(version, answer) {
        return Err(mismatch);
    }
    let span = op.stamp(search.clock, search.now);
    let creates = op.request.kind == Kind::Create;
    match (&op.request.kind, answer) {
        // The contract names no status of a success but 200 and 204.
        (Kind::Delete { .. }, Answer::Empty { status: 200 | 204 }) => Ok(()),
        (Kind::Create | Kind::Act { .. } | Kind::Patch { .. }, Answer::Entity { status, view })
            if *status == 200 || (creates && *status == 201) =>
        {
            shows(world, version, view, span)
        }
        _ => Err(not_allowed("success", answer)),
    }
}

fn not_recognised(decision: &Decision, answer: &Answer) -> Mismatch {
    let place = "another answer than a known key's";
    Mismatch::new(Invariant::I3, place, describe(decision), answer.brief())
}

fn other_version(version: u64, answer: &Answer) -> Option<Mismatch> {
    let shown = answer.sequence_nr().filter(|shown| *shown != version)?;
    let (expected, actual) = (format!("event {version}"), format!("event {shown}"));
    Some(Mismatch::new(Invariant::I18, "answer of another version", expected, actual))
}

fn rejected(allowed: &[Rejection], answer: &Answer) -> Result<(), Mismatch> {
    if let Answer::Error { status, code } = answer
        && allowed.iter().any(|rejection| rejection.admits(*status, code))
    {
        return Ok(());
    }
    Err(not_allowed(&describe(&Decision::Reject(allowed.to_vec())), answer))
}

fn describe(decision: &Decision) -> String {
    match decision {
        Decision::Accept { event, .. } => format!("accepted as event {}", event.sequence_nr),
        Decision::Repeat => "200 with the present state".to_owned(),
        Decision::Show => "the entity".to_owned(),
        Decision::Reject(allowed) => {
            let one = |r: &Rejection| format!("{} {}", r.status, r.code).trim_end().to_owned();
            allowed.iter().map(one).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// An answer that the model does not allow.
pub fn not_allowed(expected: &str, answer: &Answer) -> Mismatch {
    let place = match answer {
        Answer::Error { code, .. } => place_of(code),
        _ => "answer not allowed: success",
    };
    Mismatch::new(Invariant::I18, place, expected, answer.brief())
}

fn place_of(code: &str) -> &'static str {
    match code {
        "InvalidBody" => "answer not allowed: InvalidBody",
        "ReservedName" => "answer not allowed: ReservedName",
        "InvalidName" => "answer not allowed: InvalidName",
        "NotSupported" => "answer not allowed: NotSupported",
        "UnknownSet" => "answer not allowed: UnknownSet",
        "UnknownAction" => "answer not allowed: UnknownAction",
        "EntityNotFound" => "answer not allowed: EntityNotFound",
        "WrongState" => "answer not allowed: WrongState",
        "GuardFalse" => "answer not allowed: GuardFalse",
        "EntityExists" => "answer not allowed: EntityExists",
        "KeyReused" => "answer not allowed: KeyReused",
        "BodyTooLarge" => "answer not allowed: BodyTooLarge",
        "BlobLost" => "answer not allowed: BlobLost",
        "EventUndecodable" => "answer not allowed: EventUndecodable",
        _ => "answer not allowed: other code",
    }
}

/// Whether a body shows exactly the state of `version` at some reading within `span`.
pub fn shows(world: &World, version: u64, view: &EntityView, span: Span) -> Result<(), Mismatch> {
    let state = world.state(version);
    let is_asked = |name: &String| state.fields.contains_key(name) && view.shows(name);
    // What was asked for by name and is not there is shown as null.
    let is_blank =
        |name: &String| view.select.is_some() && view.shows(name) && view.fields[name].is_null();
    if let Some(extra) = view.fields.keys().find(|name| !is_asked(name) && !is_blank(name)) {
        let actual = format!("{extra} = {}", brief(&view.fields[extra]));
        return Err(Mismatch::new(Invariant::I4, "field of no write", "no such field", actual));
    }
    if let Some(extra) = view.expired.iter().find(|name| !is_asked(name)) {
        let place = "expired field of no write";
        return Err(Mismatch::new(Invariant::I10, place, "no such field", extra.as_str()));
    }
    let mut readings = Readings { span };
    for (name, field) in state.fields.iter().filter(|(name, _)| view.shows(name)) {
        let content = &field.written.content;
        let shown = Shown {
            name,
            value: view.fields.get(name),
            is_expired: view.expired.contains(name),
            expected: content.value(),
            deadline: world.deadline(field),
        };
        readings.judge(&shown).map_err(|mismatch| {
            mismatch.because(format!("event {} wrote it", field.sequence_nr))
        })?;
    }
    Ok(())
}

/// A value as an answer shows it, and as the model knows it.
struct Shown<'a> {
    name: &'a str,
    value: Option<&'a Value>,
    is_expired: bool,
    expected: &'a Value,
    deadline: Option<Span>,
}

/// The clock readings by which an answer can have judged its fields: one for all of them.
struct Readings {
    span: Span,
}

impl Readings {
    fn judge(&mut self, shown: &Shown<'_>) -> Result<(), Mismatch> {
        let name = shown.name;
        let expected = || format!("{name} = {}", brief(shown.expected));
        let Some(value) = shown.value else {
            return Err(Mismatch::new(Invariant::I4, "field missing", expected(), "no such field"));
        };
        let actual = || format!("{name} = {}", brief(value));
        if shown.is_expired {
            return self.judge_expired(shown, value);
        }
        // An id that the platform made up is whatever it is first shown to be.
        let is_fresh = is_unknown_id(shown.expected) && value.as_str().is_some_and(is_valid_id);
        if !is_fresh && !same(value, shown.expected) {
            let is_envelope = value.get("__temper_blob_ref").is_some();
            let place = if is_envelope { "envelope shown" } else { "value differs" };
            return Err(Mismatch::new(Invariant::I4, place, expected(), actual()));
        }
        // I10: a value is read only before its deadline.
        let Some(deadline) = shown.deadline else {
            return Ok(());
        };
        self.span.hi_ms = self.span.hi_ms.min(deadline.hi_ms - 1);
        if self.span.lo_ms <= self.span.hi_ms {
            return Ok(());
        }
        let expected = format!("{name} expired at {deadline}");
        Err(Mismatch::new(Invariant::I10, "read past its deadline", expected, actual()))
    }

    fn judge_expired(&mut self, shown: &Shown<'_>, value: &Value) -> Result<(), Mismatch> {
        let name = shown.name;
        let expected = || format!("{name} = {}", brief(shown.expected));
        if !value.is_null() {
            let actual = format!("{name} expired, and yet {}", brief(value));
            return Err(Mismatch::new(Invariant::I10, "expired with a value", "null", actual));
        }
        let actual = format!("{name} expired");
        let Some(deadline) = shown.deadline else {
            let place = "expired without a deadline";
            return Err(Mismatch::new(Invariant::I10, place, expected(), actual));
        };
        self.span.lo_ms = self.span.lo_ms.max(deadline.lo_ms);
        if self.span.lo_ms <= self.span.hi_ms {
            return Ok(());
        }
        let expected = format!("{} until {deadline}", expected());
        Err(Mismatch::new(Invariant::I10, "expired too early", expected, actual))
    }
}

/// Whether a page shows exactly the events that the journal had at `version`.
fn tells(world: &World, version: u64, page: &HistoryView, span: Span) -> Result<(), Mismatch> {
    let last = page.last_nr();
    let fits = match (page.is_last, page.events.is_empty()) {
        (true, true) => version <= last,
        (true, false) => version == last,
        (false, _) => version > last,
    };
    if !fits {
        let actual = format!("history up to event {last}, last page: {}", page.is_last);
        let expected = format!("history of {version} events");
        return Err(Mismatch::new(Invariant::I18, "history of another version", expected, actual));
    }
    let mut readings = Readings { span };
    for (index, shown) in page.events.iter().enumerate() {
        let expected_nr = page.first_nr + index as u64;
        let Some(event) = world.event(expected_nr).filter(|_| shown.sequence_nr == expected_nr)
        else {
            let (expected, actual) = (format!("{expected_nr}"), format!("{}", shown.sequence_nr));
            return Err(Mismatch::new(Invariant::I3, "history skips or repeats", expected, actual));
        };
        tells_event(event, shown, &mut readings)?;
    }
    Ok(())
}

fn tells_event(
    event: &Event,
    shown: &HistoryEvent,
    readings: &mut Readings,
) -> Result<(), Mismatch> {
    same_transition(event, (&shown.action, &shown.from, &shown.to))?;
    stamp_fits(event, shown.timestamp_ms)?;
    let mut params = shown.params.clone();
    if event.action == "Created" {
        params.remove("Id");
    }
    if let Some(extra) = params.keys().find(|name| !event.params.contains_key(*name)) {
        return Err(Mismatch::new(Invariant::I4, "param of no request", "no such param", extra));
    }
    for (name, content) in &event.params {
        let kept = event.writes.get(name).map(|written| &written.kept);
        let deadline = match kept {
            Some(Kept::Blob { ttl_ms: Some(ttl_ms) }) => {
                Some(Span::exactly(shown.timestamp_ms).plus_ttl(*ttl_ms))
            }
            _ => None,
        };
        let shown = Shown {
            name,
            value: params.get(name),
            is_expired: shown.expired.contains(name),
            expected: content.value(),
            deadline,
        };
        let reason = format!("event {} has it", event.sequence_nr);
        readings.judge(&shown).map_err(|mismatch| mismatch.because(reason))?;
    }
    Ok(())
}

/// Whether an event is the one that history or a row shows: action, from, to.
pub fn same_transition(event: &Event, shown: (&str, &str, &str)) -> Result<(), Mismatch> {
    let (action, from, to) = shown;
    // What a creation comes from and a deletion leads to is not the contract's business.
    let from_fits = event.action == "Created" || event.from == from;
    let to_fits = event.action == "Deleted" || event.to == to;
    if event.action == action && from_fits && to_fits {
        return Ok(());
    }
    let expected = format!("{} from {} to {}", event.action, event.from, event.to);
    let actual = format!("{action} from {from} to {to}");
    Err(Mismatch::new(Invariant::I2, "event differs", expected, actual)
        .because(format!("event {} was that", event.sequence_nr)))
}

/// Whether a shown timestamp lies between request and answer, and is the one shown before.
pub fn stamp_fits(event: &Event, timestamp_ms: i64) -> Result<(), Mismatch> {
    if event.stamp.contains(timestamp_ms) {
        return Ok(());
    }
    let (expected, actual) = (event.stamp.to_string(), utc(timestamp_ms));
    let mismatch = if event.is_stamp_known {
        Mismatch::new(Invariant::I2, "timestamp changed", expected, actual)
    } else {
        Mismatch::new(Invariant::I18, "timestamp outside the request", expected, actual)
    };
    Err(mismatch.because(format!("event {} happened then", event.sequence_nr)))
}
