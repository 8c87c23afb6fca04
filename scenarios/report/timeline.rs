//! A run's records as rows of lanes: for the table, and for the drawing, which is made of the same rows.
//!
//! **Invariant:** a row is left out for length alone, and each gap says how many. Those around crashes and before
//! the end stay.

use super::records::{DiskOp, Event, Record, Standing, Standings};
use super::scenes::Scenes;
use super::text::shown;
use crate::plan::Plan;
use crate::times::since_start;
use crate::translate;
use serde::Serialize;
use std::collections::BTreeMap;
use stormglass_model::words::length;
use stormglass_sim::OpKind;

/// Rows that a page has at most.
const ROWS_MAX: usize = 1_500;
/// Rows before and after a crash, and before the end, that are left out last.
const AROUND: usize = 150;
/// Characters of a row's words.
const WORDS_MAX: usize = 160;

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Requests and answers.
    Client,
    /// Mailboxes and actors.
    Actor,
    /// Guests, schedules, spawns.
    Outbox,
    /// Events and snapshots.
    Journal,
    /// Blobs.
    Blobs,
    /// The sweeper.
    Sweeper,
    /// Disk operations.
    Disk,
    /// Faults, crashes, boots, the clock, and what was found.
    Faults,
}

impl Lane {
    /// Every lane, from the top.
    pub const ALL: [Lane; 8] = [
        Lane::Client,
        Lane::Actor,
        Lane::Outbox,
        Lane::Journal,
        Lane::Blobs,
        Lane::Sweeper,
        Lane::Disk,
        Lane::Faults,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Client => "client",
            Lane::Actor => "actor",
            Lane::Outbox => "outbox",
            Lane::Journal => "journal",
            Lane::Blobs => "blobs",
            Lane::Sweeper => "sweeper",
            Lane::Disk => "disk",
            Lane::Faults => "faults",
        }
    }

    /// The lane of a point, by its place in the program.
    fn of_point(place: &str) -> Lane {
        match place {
            "store.append" | "store.journal" | "store.events" | "store.entity_ids"
            | "store.snapshot" | "store.ready" => Lane::Journal,
            "store.put" | "store.blobs" => Lane::Blobs,
            "store.outbox" | "store.settle" => Lane::Outbox,
            "store.sweep" => Lane::Sweeper,
            _ if place.starts_with("sweeper.") => Lane::Sweeper,
            _ if place.starts_with("guest.") || place.starts_with("outbox.") => Lane::Outbox,
            _ => Lane::Actor,
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The number of its record, from 1.
    pub n: usize,
    /// Simulated time.
    pub time: String,
    /// The boot.
    pub boot: u32,
    /// Disk operations so far.
    pub op: u64,
    /// The lane.
    pub lane: Lane,
    /// What kind of thing it is, also in style sheets.
    pub kind: &'static str,
    /// What happened.
    pub what: String,
    /// Who asked or was answered.
    who: Option<String>,
    /// What became of it.
    pub standing: Option<Standing>,
    /// Records that are left out before it.
    pub gap: usize,
    /// The place of the row up to which it lasts.
    pub end: usize,
}

impl Row {
    /// How its change stands, in words.
    pub fn standing_words(&self) -> String {
        self.standing.as_ref().map_or(String::new(), Standing::in_words)
    }

    /// The same, for style sheets.
    pub fn standing_name(&self) -> &'static str {
        self.standing.as_ref().map_or("none", Standing::name)
    }
}

/// The rows of a page.
pub struct Timeline {
    /// Them.
    pub rows: Vec<Row>,
    /// Records that there are.
    pub record_count: usize,
}

/// What a page's script draws from: numbers, and for each row where it stands. Its words are in the table.
#[derive(Serialize)]
pub struct Drawing {
    lanes: Vec<&'static str>,
    /// Lane, kind, last row, standing.
    rows: Vec<(usize, &'static str, usize, &'static str)>,
    /// Rows at which simulated time has moved on, and to when.
    times: Vec<(usize, String)>,
    /// Rows at which another boot begins.
    boots: Vec<(usize, u32)>,
    /// Rows before which some are left out.
    gaps: Vec<(usize, usize)>,
}

impl Timeline {
    /// Of a run's records up to the moment at which `found` was found.
    pub fn of(
        records: &[Record],
        (scenes, standings): (&Scenes, &[Standings]),
        plan: Option<&Plan>,
        found: Option<&str>,
    ) -> Timeline {
        let records = match scenes.record_count {
            0 => records,
            count => &records[..count.min(records.len())],
        };
        let crashes: Vec<usize> = scenes.crashes.iter().map(|crash| crash.record_count).collect();
        let is_shown = chosen(records, &crashes);
        let steps = steps(records, plan);
        let mut rows = Vec::new();
        let mut gap = 0;
        for (at, record) in records.iter().enumerate() {
            if !is_shown[at] {
                gap += 1;
                continue;
            }
            let standing = last_standing(standings, at);
            let mut row = row(at, record, steps.get(&at), standing);
            row.gap = std::mem::take(&mut gap);
            rows.push(row);
        }
        if let (Some(found), Some(last)) = (found, records.last()) {
            let mut row = row(records.len(), last, None, None);
            (row.lane, row.kind, row.who) = (Lane::Faults, "found", None);
            row.what = format!("found: {}", shown(found, WORDS_MAX));
            row.gap = gap;
            rows.push(row);
        }
        stretch(&mut rows);
        Timeline { rows, record_count: records.len() }
    }

    /// Records that have no row.
    pub fn left_out(&self) -> usize {
        self.rows.iter().map(|row| row.gap).sum()
    }

    /// The lanes in which something happened.
    pub fn lanes(&self) -> Vec<Lane> {
        let has =
            |lane: &Lane| *lane != Lane::Outbox || self.rows.iter().any(|row| row.lane == *lane);
        Lane::ALL.into_iter().filter(has).collect()
    }

    /// For the page's script.
    pub fn drawing(&self) -> Drawing {
        let lanes = self.lanes();
        let place = |lane: Lane| lanes.iter().position(|one| *one == lane).unwrap_or(0);
        let of = |row: &Row| (place(row.lane), row.kind, row.end, row.standing_name());
        let rows = self.rows.iter().map(of).collect();
        let news = |is_new: &dyn Fn(&Row, &Row) -> bool| -> Vec<usize> {
            let later =
                (1..self.rows.len()).filter(|at| is_new(&self.rows[at - 1], &self.rows[*at]));
            (0..self.rows.len().min(1)).chain(later).collect()
        };
        let times = news(&|last, row| last.time != row.time);
        let boots = news(&|last, row| last.boot != row.boot);
        Drawing {
            rows,
            times: times.into_iter().map(|at| (at, self.rows[at].time.clone())).collect(),
            boots: boots.into_iter().map(|at| (at, self.rows[at].boot)).collect(),
            gaps: (0..)
                .zip(&self.rows)
                .filter(|(_, row)| row.gap > 0)
                .map(|(at, row)| (at, row.gap))
                .collect(),
            lanes: lanes.into_iter().map(Lane::name).collect(),
        }
    }
}

/// What became of a record's change in the end: the last moment that had a say in it.
fn last_standing(standings: &[Standings], at: usize) -> Option<Standing> {
    let mut of = standings.iter().rev().filter(|one| one.from <= at);
    of.find_map(|one| one.of.get(at - one.from)).cloned().flatten()
}

/// Which records have a row: all, or where those are too many the ones near a crash or the end, then what is
/// neither a disk operation nor a point, then points.
fn chosen(records: &[Record], crashes: &[usize]) -> Vec<bool> {
    let count = records.len();
    let is_near = |at: usize| {
        at + AROUND >= count || crashes.iter().any(|crash| crash.abs_diff(at) <= AROUND)
    };
    let rank = |at: usize| {
        let class = match &records[at].event {
            Event::Crash { .. } | Event::Boot | Event::Fault { .. } => 0,
            _ if is_near(at) => 1,
            Event::Disk(_) => 4,
            Event::Point { .. } => 3,
            _ => 2,
        };
        (class, count - at)
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|at| rank(*at));
    let mut is_chosen = vec![false; count];
    order.into_iter().take(ROWS_MAX).for_each(|at| is_chosen[at] = true);
    is_chosen
}

/// The plan's steps whose requests these records are.
fn steps(records: &[Record], plan: Option<&Plan>) -> BTreeMap<usize, u32> {
    let Some(plan) = plan else { return BTreeMap::new() };
    let mut left: Vec<_> = plan.steps.iter().map(|step| (step, translate::brief(step))).collect();
    let mut found = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        let Event::Request { who, what } = &record.event else { continue };
        let is_of = |(step, brief): &(&crate::plan::Step, String)| {
            brief == what && *who == format!("client {}", step.client)
        };
        if let Some(place) = left.iter().position(is_of) {
            found.insert(at, left.remove(place).0.id);
        }
    }
    found
}

fn row(at: usize, record: &Record, step: Option<&u32>, standing: Option<Standing>) -> Row {
    let (lane, kind, what) = told(&record.event, step);
    let what = shown(&what, WORDS_MAX);
    let (time, boot, op) = (since_start(record.monotonic_ms), record.boot, record.op);
    let who = match &record.event {
        Event::Request { who, .. } | Event::Answer { who, .. } => Some(who.clone()),
        _ => None,
    };
    Row { n: at + 1, time, boot, op, lane, kind, what, who, standing, gap: 0, end: 0 }
}

fn told(event: &Event, step: Option<&u32>) -> (Lane, &'static str, String) {
    match event {
        Event::Disk(op) => (Lane::Disk, kind_of(op), op.in_words()),
        Event::Fault { effect } => (Lane::Faults, "fault", format!("fault: {effect}")),
        Event::Boot => (Lane::Faults, "boot", "a server starts".to_string()),
        Event::Crash { ending, pending } => {
            let pending = crate::lines::counted(pending, "change");
            (Lane::Faults, "crash", format!("{ending}, {pending} pending"))
        }
        Event::ClockStep { by_ms } => {
            (Lane::Faults, "clock", format!("the wall clock is set by {}", length(*by_ms)))
        }
        Event::Point { label } => (Lane::of_point(point(label).0), "point", point_words(label)),
        Event::Request { who, what } => {
            let step = step.map_or(String::new(), |id| format!("step {id}, "));
            (Lane::Client, "request", format!("{step}{}: {what}", client(who)))
        }
        Event::Answer { who, what } if what == "lost" => {
            (Lane::Client, "lost", format!("{} lost the connection", client(who)))
        }
        Event::Answer { who, what } => {
            (Lane::Client, "answer", format!("{} was told {what}", client(who)))
        }
        Event::Check { name, found } => (Lane::Faults, "check", format!("check {name}: {found}")),
    }
}

/// Who asks: a client of the plan's, or the runner itself.
fn client(who: &str) -> &str {
    if who == "client 0" { "check" } else { who }
}

/// The same in words.
pub fn point_words(label: &str) -> String {
    let (place, who) = point(label);
    shown(&format!("{place}  {who}"), WORDS_MAX)
}

/// A point's place in the program, and on whose behalf: labels are `boot/who/step/place/n`.
fn point(label: &str) -> (&str, String) {
    let mut parts = label.rsplitn(4, '/');
    let (_, place, _) = (parts.next(), parts.next().unwrap_or(label), parts.next());
    let who = parts.next().and_then(|rest| rest.split_once('/')).map_or("", |(_, who)| who);
    let who = who.split_whitespace().collect::<Vec<_>>().join(" ");
    // What belongs to no step of the plan is the runner's own.
    match who.strip_prefix("step 0") {
        Some(rest) if !rest.starts_with(|next: char| next.is_ascii_digit()) => {
            (place, format!("check{rest}"))
        }
        _ => (place, who),
    }
}

fn kind_of(op: &DiskOp) -> &'static str {
    match op.kind {
        _ if op.outcome != "ok" => "failed",
        OpKind::Read => "read",
        OpKind::Sync | OpKind::SyncDirectory => "sync",
        OpKind::Compute => "compute",
        OpKind::Open => "open",
        OpKind::Write | OpKind::Truncate | OpKind::Delete | OpKind::Rename => "write",
    }
}

impl DiskOp {
    /// Its kind.
    pub fn kind_words(&self) -> &'static str {
        match self.kind {
            OpKind::Open => "open",
            OpKind::Read => "read",
            OpKind::Write => "write",
            OpKind::Truncate => "truncate",
            OpKind::Sync => "sync",
            OpKind::SyncDirectory => "sync directory",
            OpKind::Delete => "delete",
            OpKind::Rename => "rename",
            OpKind::Compute => "compute",
        }
    }

    fn in_words(&self) -> String {
        let DiskOp { kind, file, offset, len, outcome, .. } = self;
        let place = match kind {
            OpKind::Read | OpKind::Write => format!(" {len} B at {offset}"),
            OpKind::Truncate => format!(" to {offset} B"),
            _ => String::new(),
        };
        let failed = if outcome == "ok" { String::new() } else { format!(": {outcome}") };
        format!("{} {file}{place}{failed}", self.kind_words())
    }
}

/// Says of each row how long it lasts: a request until its answer, a point until the next one.
fn stretch(rows: &mut [Row]) {
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    let mut going: Option<usize> = None;
    for at in 0..rows.len() {
        rows[at].end = at;
        match rows[at].kind {
            "request" => {
                asked.extend(rows[at].who.clone().map(|who| (who, at)));
            }
            "answer" | "lost" => {
                if let Some(from) = rows[at].who.as_ref().and_then(|who| asked.remove(who)) {
                    rows[from].end = at;
                }
            }
            "point" => going = Some(at),
            "crash" | "found" => going = None,
            "read" | "write" | "sync" | "open" | "compute" | "failed" => {
                if let Some(from) = going {
                    rows[from].end = at;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_where_and_for_whom() {
        let label = "1/step 1 tenant-0 Session('s0 o'\u{e9}/')/0/mailbox.send/1";
        let (place, who) = point(label);
        assert_eq!(
            (place, who.as_str()),
            ("mailbox.send", "step 1 tenant-0 Session('s0 o'\u{e9}/')")
        );
        let own = "1/step 0/outbox tenant-0 Session('s0')/0/guest.start/1";
        assert_eq!(point(own).1, "check/outbox tenant-0 Session('s0')");
        assert_eq!(point("2/sweeper tenant-0 /0/store.sweep/1").1, "sweeper tenant-0");
    }

    /// Goal: what is left out is not what matters. Method: more reads than there are rows, a crash early on.
    #[test]
    fn what_is_near_a_crash_or_the_end_stays() {
        let record = |event| Record { monotonic_ms: 0, boot: 1, op: 0, event };
        let kind = OpKind::Read;
        let (file, outcome) = ("/a.db".to_string(), "ok".to_string());
        let op = DiskOp { kind, file, offset: 0, len: 1, bytes: String::new(), outcome };
        let mut records: Vec<_> = (0..5_000).map(|_| record(Event::Disk(op.clone()))).collect();
        records[700] = record(Event::Crash { ending: "power-loss".to_string(), pending: 0 });
        let is_chosen = chosen(&records, &[700]);
        assert_eq!(is_chosen.iter().filter(|one| **one).count(), ROWS_MAX);
        assert!(is_chosen[560..840].iter().all(|one| *one));
        assert!(is_chosen[4_000..].iter().all(|one| *one) && !is_chosen[1_000]);
        let scenes = Scenes { record_count: 5_000, ..Scenes::default() };
        let timeline = Timeline::of(&records, (&scenes, &[]), None, Some("I1"));
        assert_eq!(timeline.left_out() + timeline.rows.len(), 5_001);
    }
}
