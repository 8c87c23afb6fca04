//! The rows of `blobs` of one tenant against the references that the model knows.
//!
//! Verified: I5 (references of an entity that has answered in this boot have their row; a row that was
//! there at the last reading and has gone too early is I8's alone), I6, I7, I13 (a body or a deadline
//! that only another tenant has put), I8 (no row goes, and no deadline falls short, before it may), I12
//! (no deadline that nobody put, no row made or extended for what had expired). A reference that was past
//! its deadline at any moment since its request was sent may have been swept: it is asked for by reads
//! (I4, I10), not here. Readings of two boots are not compared: what a boot lost shows as a reference without
//! its row, and what it made up as a row of no attempt. Not verified: deadlines that only replay can have put (a
//! row that misses one is found by I5 when the sweep has taken it).

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::automaton::Effect;
use crate::canonical::Content;
use crate::clock::{ClockLog, Mark, Span};
use crate::decide::{Decision, is_valid_id};
use crate::entity::{BootId, EntityKey, Event, Kept, Written};
use crate::inner::is_platforms;
use crate::ledger::Baseline;
use crate::project::written_with;
use crate::request::Kind;
use crate::tables::BlobRow;
use crate::violation::{Invariant, Mismatch, Violation};
use crate::words::{until, utc};
use crate::world::{Op, World};

/// One attempt to put a body, as far as the model knows.
#[derive(Clone, Copy, Debug)]
struct Put {
    /// Its deadline; none for a permanent one.
    deadline: Option<Span>,
    /// Whether it can have happened after the last reading of the rows.
    is_recent: bool,
    /// Whether replay may put it: it was a reference of the state at some time since then.
    is_current: bool,
    /// Whether no event that the model knows of made it.
    is_orphan: bool,
}

/// What the check looks at.
pub struct BlobCheck<'a> {
    /// The rows.
    pub rows: &'a [BlobRow],
    /// The possible pasts of each entity of the tenant, in-doubt events that rows show included.
    pub entities: &'a [(&'a EntityKey, Vec<World>)],
    /// The tenant's writes that may have tried to put something.
    pub ops: Vec<&'a Op>,
    /// What the platform itself may have tried, asked for when nothing else explains a row.
    pub tried: &'a dyn Fn() -> Vec<Op>,
    /// The readings of the clock.
    pub clock: &'a ClockLog,
    /// When the rows were read.
    pub now: Mark,
    /// The running boot; none when the store is dead.
    pub boot: Option<BootId>,
    /// The length of every journal when the running boot began, if it is known.
    pub before_boot: Option<&'a BTreeMap<EntityKey, u64>>,
    /// The reading before, if it was in the same boot.
    pub baseline: Option<&'a Baseline>,
    /// The possible pasts of the other tenants' entities: whose deadline or body it is (I13).
    pub elsewhere: Vec<&'a World>,
}

/// What the check found.
#[derive(Debug, Default)]
pub struct BlobFindings {
    /// What breaks the contract.
    pub violations: Vec<Violation>,
    /// The rows that only in-doubt and failed attempts put (I7).
    pub orphan_count: usize,
}

impl BlobCheck<'_> {
    /// Checks every row and every reference.
    pub fn run(&self) -> BlobFindings {
        let puts = self.puts();
        let tried = OnceCell::new();
        let mut findings = BlobFindings::default();
        let mut by_key: BTreeMap<&str, &BlobRow> = BTreeMap::new();
        for row in self.rows {
            if by_key.insert(&row.key, row).is_some() {
                let mismatch = Mismatch::new(Invariant::I7, "two rows of one body", "one", "two");
                findings.violations.push(mismatch.at(row.key.as_str()));
            }
            let mut known = puts.get(row.key.as_str()).cloned().unwrap_or_default();
            let is_explained = |known: &[Put]| self.problem(row, known).is_none();
            if !is_explained(&known) {
                known.extend(self.failed_puts(row, &tried));
            }
            let is_orphan = !known.is_empty() && known.iter().all(|put| put.is_orphan);
            findings.orphan_count += usize::from(is_orphan);
            let problems = content(row).into_iter().chain(self.problem(row, &known));
            findings.violations.extend(problems.map(|mismatch| mismatch.at(row.key.as_str())));
        }
        let swept = self.swept(&by_key);
        // What a row's early end leaves dangling is told once, as the sweep's.
        let told: BTreeSet<&str> = swept.iter().map(|found| found.entity.as_str()).collect();
        for (key, worlds) in self.entities {
            findings.violations.extend(self.entity(key, worlds, (&by_key, &told)));
        }
        findings.violations.extend(swept);
        findings
    }

    fn puts(&self) -> BTreeMap<&str, Vec<Put>> {
        let mut puts: BTreeMap<&str, Vec<Put>> = BTreeMap::new();
        for (key, worlds) in self.entities {
            let read_before = self.baseline.and_then(|baseline| baseline.journals.get(key));
            for world in worlds {
                self.puts_of(world, read_before.copied().unwrap_or(0), &mut puts);
            }
        }
        puts
    }

    fn puts_of<'a>(&self, world: &'a World, before: u64, puts: &mut BTreeMap<&'a str, Vec<Put>>) {
        // From the newest event back: which event wrote over a field.
        let mut overwritten: BTreeMap<&str, u64> = BTreeMap::new();
        let mut deleted_by = None;
        for event in world.journal.iter().rev() {
            if event.action == "Deleted" {
                deleted_by = Some(event.sequence_nr);
            }
            for (name, written) in &event.writes {
                let overwritten_by = overwritten.insert(name, event.sequence_nr).or(deleted_by);
                let Some(deadline) = deadline(event, written) else {
                    continue;
                };
                let put = Put {
                    deadline,
                    is_recent: self.is_recent(world, event),
                    is_current: overwritten_by.is_none_or(|sequence_nr| sequence_nr > before),
                    is_orphan: false,
                };
                puts.entry(written.content.key()).or_default().push(put);
            }
        }
    }

    /// Whether an event is of the running boot for sure.
    fn is_of_boot(&self, entity: &EntityKey, event: &Event) -> bool {
        let before = |journals: &BTreeMap<EntityKey, u64>| journals.get(entity).copied();
        let before = self.before_boot.map(|journals| before(journals).unwrap_or(0));
        before.is_some_and(|before| event.sequence_nr > before)
    }

    /// Whether the action's own put may still have been under way after the last reading.
    fn is_recent(&self, world: &World, event: &Event) -> bool {
        let Some(baseline) = self.baseline else {
            return true;
        };
        let ack = world.acks.get(&event.sequence_nr);
        let is_over = ack.is_some_and(|ack| !baseline.at.before(ack.at));
        // Which boot did what the platform did by itself, and when it had put its blobs, nobody was told.
        let is_own = is_platforms(event.key.as_deref());
        (is_own || Some(event.boot) == self.boot) && !is_over
    }

    /// Puts of requests that were rejected, or whose effect nobody has seen.
    fn failed_puts(&self, row: &BlobRow, tried: &OnceCell<Vec<Op>>) -> Vec<Put> {
        let mut puts = Vec::new();
        let tried = tried.get_or_init(self.tried);
        // Of a child whose event was lost nothing else shows the id.
        let id: Option<String> =
            serde_json::from_slice(&row.data).ok().filter(|id: &String| is_valid_id(id));
        let body = (row.key.as_str(), id.as_deref());
        for op in self.ops.iter().copied().chain(tried).filter(|op| may_put(op, row)) {
            let stamp = op.stamp(self.clock, self.now);
            let id = op.request.entity_id();
            let own = self.entities.iter().filter(|(key, _)| id.is_none_or(|id| id == key.id));
            let own = own.filter(|(key, _)| key.set == op.request.set);
            let nobody = [World::empty("")];
            let worlds = own.flat_map(|(_, worlds)| worlds.iter()).chain(&nobody);
            for world in worlds {
                for version in 0..=world.version() {
                    let decision = world.decide_at(version, op, stamp);
                    let Decision::Accept { event, .. } = decision else {
                        continue;
                    };
                    puts.extend(self.failed_puts_of(op, &event, body));
                }
            }
        }
        puts
    }

    /// The puts of a body, by its key and the id that it is if it is one, that an event would have brought.
    fn failed_puts_of(&self, op: &Op, event: &Event, body: (&str, Option<&str>)) -> Vec<Put> {
        let (key, id) = body;
        let ended_before =
            |baseline: &Baseline| op.ended.is_some_and(|end| end.before(baseline.at));
        let is_of_boot = op.is_inner() || Some(op.boot) == self.boot;
        let is_recent = !self.baseline.is_some_and(ended_before) && is_of_boot;
        let written = event.writes.keys().map(|name| written_with(event, name, id));
        written
            .filter(|written| written.content.key() == key)
            .filter_map(|written| deadline(event, &written))
            .map(|deadline| Put { deadline, is_recent, is_current: false, is_orphan: true })
            .collect()
    }

    /// I7, I12: what of a row no attempt explains.
    fn problem(&self, row: &BlobRow, puts: &[Put]) -> Option<Mismatch> {
        if puts.is_empty() {
            let expected = "no such row";
            if self.is_put_elsewhere(row, |_| true) {
                let place = "row of another tenant's body";
                return Some(Mismatch::new(Invariant::I13, place, expected, "a row"));
            }
            return Some(Mismatch::new(Invariant::I7, "row of no attempt", expected, "a row"));
        }
        let is_its = |deadline: Option<Span>| match (deadline, row.expires_at_ms) {
            (None, None) => true,
            (Some(deadline), Some(ms)) => deadline.contains(ms),
            _ => false,
        };
        let gives = |put: &Put| is_its(put.deadline);
        let actual = || format!("a row {}", until(row.expires_at_ms));
        if !puts.iter().any(gives) {
            let expected = "the deadline of an attempt";
            if self.is_put_elsewhere(row, is_its) {
                let place = "deadline of another tenant's put";
                return Some(Mismatch::new(Invariant::I13, place, expected, actual()));
            }
            return Some(Mismatch::new(Invariant::I12, "deadline of no put", expected, actual()));
        }
        let baseline = self.baseline?;
        let before = baseline.blobs.get(&row.key);
        if before == Some(&row.expires_at_ms) {
            return None;
        }
        let earliest_ms = self.clock.span(baseline.at, self.now).lo_ms;
        let is_ahead = |put: &Put| put.deadline.is_none_or(|deadline| earliest_ms < deadline.hi_ms);
        let may_happen = |put: &Put| (put.is_recent || put.is_current) && is_ahead(put);
        if puts.iter().any(|put| gives(put) && may_happen(put)) {
            return None;
        }
        let place = match before {
            None => "row made for an expired reference",
            Some(_) => "row extended for an expired reference",
        };
        Some(Mismatch::new(Invariant::I12, place, "no such change", actual()))
    }

    /// Whether another tenant has put this body, with such a deadline.
    fn is_put_elsewhere(&self, row: &BlobRow, is_such: impl Fn(Option<Span>) -> bool) -> bool {
        self.elsewhere.iter().flat_map(|world| &world.journal).any(|event| {
            let of_body = event.writes.iter().filter(|(_, one)| one.content.key() == row.key);
            of_body.filter_map(|(_, written)| deadline(event, written)).any(&is_such)
        })
    }

    /// I8: a row goes only when its deadline has passed, and never when it is permanent.
    fn swept(&self, rows: &BTreeMap<&str, &BlobRow>) -> Vec<Violation> {
        let Some(baseline) = self.baseline else {
            return Vec::new();
        };
        let latest_ms = self.clock.span(baseline.at, self.now).hi_ms;
        let mut violations = Vec::new();
        for (key, before) in &baseline.blobs {
            let may_go = before.is_some_and(|ms| ms <= latest_ms);
            let after = rows.get(key.as_str()).map(|row| row.expires_at_ms);
            let place = match (after, before) {
                _ if may_go => continue,
                (None, None) => "permanent row deleted",
                (None, Some(_)) => "row deleted before its deadline",
                (Some(Some(_)), None) => "permanent row made to expire",
                (Some(Some(after)), Some(before)) if after < *before => "deadline lowered",
                _ => continue,
            };
            let expected = format!("a row {}", until(*before));
            let actual = match after {
                Some(deadline_ms) => format!("a row {}", until(deadline_ms)),
                None => format!("no row, and the clock was at {} at most", utc(latest_ms)),
            };
            violations.push(Mismatch::new(Invariant::I8, place, expected, actual).at(key.as_str()));
        }
        violations
    }

    /// I5 and I8 for one entity: broken only when every possible past says so.
    fn entity(
        &self,
        key: &EntityKey,
        worlds: &[World],
        rows: (&BTreeMap<&str, &BlobRow>, &BTreeSet<&str>),
    ) -> Option<Violation> {
        let mut first = None;
        for world in worlds {
            let mismatch = self.reference(key, world, rows)?;
            first.get_or_insert(mismatch);
        }
        first.map(|mismatch| mismatch.at(key.to_string()))
    }

    fn reference(
        &self,
        entity: &EntityKey,
        world: &World,
        (rows, told): (&BTreeMap<&str, &BlobRow>, &BTreeSet<&str>),
    ) -> Option<Mismatch> {
        let state = world.state(world.version());
        let answered = world.answered.filter(|(boot, _)| Some(*boot) == self.boot);
        let answered = answered.map_or(0, |(_, version)| version);
        for event in &world.journal {
            let ack = world.acks.get(&event.sequence_nr);
            let is_acked_now = ack.is_some_and(|ack| Some(ack.boot) == self.boot);
            // Nobody acknowledges what the platform does by itself. Of this boot, it was put by this boot.
            let is_own = is_platforms(event.key.as_deref()) && self.is_of_boot(entity, event);
            for (name, written) in &event.writes {
                let Some(deadline) = deadline(event, written) else {
                    continue;
                };
                let latest_ms = self.clock.span(event.sent, self.now).hi_ms;
                if deadline.is_some_and(|deadline| latest_ms >= deadline.lo_ms) {
                    continue;
                }
                let field = state.fields.get(name);
                let is_current = field.is_some_and(|f| f.sequence_nr == event.sequence_nr)
                    && event.sequence_nr <= answered;
                let key = written.content.key();
                if told.contains(key) {
                    continue;
                }
                let row = rows.get(key);
                let (invariant, place, actual) = match row {
                    None if is_current => (Invariant::I5, "row missing", "no row".to_owned()),
                    Some(row) if (is_current && (ack.is_some() || is_own)) || is_acked_now => {
                        let falls_short = match (deadline, row.expires_at_ms) {
                            (_, None) => false,
                            (None, Some(_)) => true,
                            (Some(deadline), Some(ms)) => ms < deadline.lo_ms,
                        };
                        if !falls_short {
                            continue;
                        }
                        let actual = format!("a row {}", until(row.expires_at_ms));
                        (Invariant::I8, "deadline earlier than one put", actual)
                    }
                    _ => continue,
                };
                let due = deadline.map_or("for ever".to_owned(), |span| format!("until {span}"));
                let expected = format!("{name}: row {key} {due}");
                let reason = format!("event {} wrote it", event.sequence_nr);
                return Some(Mismatch::new(invariant, place, expected, actual).because(reason));
            }
        }
        None
    }
}

/// Whether a request can have tried to put this body at all: as one of its params, as an initial
/// value, as a list that it changed, or as the id of a child.
fn may_put(op: &Op, row: &BlobRow) -> bool {
    let size_bytes = row.data.len() as u64;
    let is_body =
        |content: &Content| content.size_bytes() == size_bytes && content.key() == row.key;
    if op.request.params().values().any(|content| is_body(content)) {
        return true;
    }
    let automaton = &op.rules.automaton;
    let makes_a_value = |effect: &Effect| match effect {
        Effect::ListAppend(_) | Effect::ListRemoveAt(_) => true,
        Effect::Spawn(spawn) => spawn.store_id_in.is_some(),
        _ => false,
    };
    match &op.request.kind {
        Kind::Create => true,
        Kind::Act { action, .. } => {
            automaton.action(action).is_some_and(|action| action.effects.iter().any(makes_a_value))
        }
        _ => false,
    }
}

/// I6: the body hashes to the key, and the size is the body's.
fn content(row: &BlobRow) -> Option<Mismatch> {
    let key = row.data.key();
    if key != row.key {
        return Some(Mismatch::new(Invariant::I6, "body of another key", row.key.as_str(), key));
    }
    let size_bytes = row.data.len() as u64;
    let (expected, actual) = (format!("{size_bytes} bytes"), format!("{} bytes", row.size_bytes));
    let differs = row.size_bytes != size_bytes;
    differs.then(|| Mismatch::new(Invariant::I6, "size differs", expected, actual))
}

/// The deadline with which an event puts what it wrote; none when it keeps that otherwise.
fn deadline(event: &Event, written: &Written) -> Option<Option<Span>> {
    match written.kept {
        Kept::Blob { ttl_ms } => Some(ttl_ms.map(|ttl_ms| event.stamp.plus_ttl(ttl_ms))),
        _ => None,
    }
}
