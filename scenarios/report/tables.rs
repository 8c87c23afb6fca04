//! Entities and blobs at several moments, side by side.
//!
//! **Invariant:** a cell is marked where it differs from the one before it; what was found broken is marked
//! wherever its name stands in the finding. Rows are left out for length alone, unmarked ones first.

use super::state::{self, Blob, Entity, Field, Moment, Tenant};
use super::text::shown;
use crate::failure::diff;
use crate::times::since_start;
use crate::verdict::Finding;
use std::collections::BTreeSet;
use stormglass_model::words::utc;

/// Rows of a table at most.
const ROWS_MAX: usize = 80;

/// Characters of a cell.
const CELL_MAX: usize = 300;

/// A table of one tenant.
pub struct Table {
    /// What it is of.
    pub title: String,
    /// What the names are: `entity` or `blob`.
    pub noun: &'static str,
    /// The moments.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<StateRow>,
    /// Rows that are left out.
    pub left_out: usize,
}

/// One row.
pub struct StateRow {
    /// What is shown: an entity, a field of it, a blob.
    pub name: String,
    /// Whether it is a part of the row above.
    pub is_part: bool,
    /// Whether the finding names it.
    pub is_accused: bool,
    /// A cell a moment.
    pub cells: Vec<Cell>,
}

/// A cell.
pub struct Cell {
    /// What was there.
    pub text: String,
    /// Whether it differs from the cell before.
    pub is_changed: bool,
}

/// A moment's column: its name, what was there, and the simulated time since the run began, if it is known.
pub type Column<'m> = (String, &'m Moment, Option<i64>);

/// When a moment was, for what is told of deadlines.
#[derive(Clone, Copy)]
struct At {
    utc_ms: i64,
    /// Milliseconds since the run began: nothing where only the wall clock is to be told, as in a comparison.
    since_ms: Option<i64>,
}

/// The tables of every tenant.
pub fn of(moments: &[Column<'_>], finding: Option<&Finding>) -> Vec<Table> {
    let names: BTreeSet<&String> =
        moments.iter().flat_map(|(_, moment, _)| moment.names()).collect();
    let columns: Vec<String> = moments.iter().map(|(name, ..)| name.clone()).collect();
    let tenant = |name: &String| {
        let at =
            |one: &Moment, since_ms: &Option<i64>| At { utc_ms: one.utc_ms, since_ms: *since_ms };
        let tenants: Vec<(Option<&Tenant>, At)> =
            moments.iter().map(|(_, one, since)| (one.tenants.get(name), at(one, since))).collect();
        let table = |title: String, noun, rows: Vec<StateRow>| {
            let (rows, left_out) = thinned(rows);
            Table { title, noun, columns: columns.clone(), rows, left_out }
        };
        [
            table(
                format!("{}: entities", shown(name, 60)),
                "entity",
                entities(name, &tenants, finding),
            ),
            table(format!("{}: blobs", shown(name, 60)), "blob", blobs(name, &tenants, finding)),
        ]
    };
    names.into_iter().flat_map(tenant).filter(|table| !table.rows.is_empty()).collect()
}

fn entities(
    name: &str,
    tenants: &[(Option<&Tenant>, At)],
    finding: Option<&Finding>,
) -> Vec<StateRow> {
    let mut rows = Vec::new();
    let troubles: Vec<String> = tenants
        .iter()
        .map(|(tenant, _)| tenant.and_then(|tenant| tenant.trouble.clone()).unwrap_or_default())
        .collect();
    if troubles.iter().any(|trouble| !trouble.is_empty()) {
        rows.push(row("cannot be read".to_string(), (false, true), alike(troubles)));
    }
    let known = tenants.iter().filter_map(|(tenant, _)| *tenant);
    let ids: BTreeSet<&String> = known.flat_map(|tenant| tenant.entities.keys()).collect();
    for id in ids {
        let accused = finding.filter(|found| is_about(found, name, id)).map(accused_fields);
        let at: Vec<Option<&Entity>> = tenants
            .iter()
            .map(|(tenant, _)| tenant.and_then(|tenant| tenant.entities.get(id)))
            .collect();
        let cells = at.iter().map(|entity| entity.map_or(String::new(), Entity::in_words));
        rows.push(row(id.clone(), (false, accused.is_some()), alike(cells.collect())));
        let fields: BTreeSet<&String> =
            at.iter().flatten().flat_map(|one| one.fields.keys()).collect();
        for field in fields {
            let cell = |(entity, (tenant, at)): (&Option<&Entity>, &(Option<&Tenant>, At))| {
                let kept = entity.and_then(|entity| entity.fields.get(field));
                let words = |at: At| kept.map_or(String::new(), |kept| kept.in_words(*tenant, at));
                (words(*at), words(at.compared()))
            };
            let cells = at.iter().zip(tenants).map(cell).collect();
            let is_accused = accused.as_ref().is_some_and(|fields| fields.contains(field));
            rows.push(row(field.clone(), (true, is_accused), cells));
        }
    }
    rows
}

/// Whether a finding is about this entity of a tenant.
fn is_about(found: &Finding, tenant: &str, id: &str) -> bool {
    let own = found.subject.strip_prefix(tenant).and_then(|rest| rest.strip_prefix('/'));
    let named = own.and_then(|own| own.split_once('/'));
    named.is_some_and(|(set, own)| state::name(set, own) == id)
}

/// The fields that a finding names: at the beginning of what differs, or in quotes.
fn accused_fields(found: &Finding) -> BTreeSet<String> {
    let (expected, actual) = diff::of(&found.expected, &found.actual);
    let sides = expected.iter().chain(&actual);
    let first = |side: &String| {
        let path = side.strip_prefix("fields.").unwrap_or(side);
        let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        path.split(|letter| !is_of_name(letter)).next().unwrap_or_default().to_string()
    };
    let quoted = |side: &String| side.split('`').skip(1).step_by(2).map(str::to_string).collect();
    sides.flat_map(|side| [vec![first(side)], quoted(side)].concat()).collect()
}

/// The blobs to which the fields that a finding names refer, at any of the moments.
fn accused_blobs(
    name: &str,
    tenants: &[(Option<&Tenant>, At)],
    finding: Option<&Finding>,
) -> BTreeSet<String> {
    let Some(found) = finding else { return BTreeSet::new() };
    let fields = accused_fields(found);
    let known = tenants.iter().filter_map(|(tenant, _)| *tenant);
    let about =
        known.flat_map(|tenant| &tenant.entities).filter(|(id, _)| is_about(found, name, id));
    let kept = about.flat_map(|(_, entity)| &entity.fields);
    let keys = kept.filter_map(|(field, kept)| match kept {
        Field::Blob { key, .. } if fields.contains(field) => Some(key.clone()),
        _ => None,
    });
    keys.collect()
}

fn blobs(
    name: &str,
    tenants: &[(Option<&Tenant>, At)],
    finding: Option<&Finding>,
) -> Vec<StateRow> {
    let accused = accused_blobs(name, tenants, finding);
    let known = tenants.iter().filter_map(|(tenant, _)| *tenant);
    let keys: BTreeSet<&String> = known
        .flat_map(|tenant| {
            tenant.blobs.keys().chain(tenant.entities.values().flat_map(Entity::keys))
        })
        .collect();
    let one = |key: &String| {
        let is_named = finding.is_some_and(|found| {
            [&found.subject, &found.expected, &found.actual].iter().any(|text| text.contains(key))
        });
        let cell = |(tenant, at): &(Option<&Tenant>, At)| {
            let blob = tenant.and_then(|tenant| tenant.blobs.get(key));
            let words = |at: At| blob.map_or("no row".to_string(), |blob| blob.in_words(at));
            (words(*at), words(at.compared()))
        };
        row(
            short(key),
            (false, is_named || accused.contains(key)),
            tenants.iter().map(cell).collect(),
        )
    };
    keys.into_iter().map(one).collect()
}

/// Texts that are compared as they are shown.
fn alike(texts: Vec<String>) -> Vec<(String, String)> {
    texts.into_iter().map(|text| (text.clone(), text)).collect()
}

/// A row of cells, each as it is shown and as it is compared with the one before it.
fn row(
    name: String,
    (is_part, is_accused): (bool, bool),
    texts: Vec<(String, String)>,
) -> StateRow {
    let mut last: Option<String> = None;
    let cell = |(text, compared): (String, String)| {
        let is_changed = last.replace(compared.clone()).is_some_and(|last| last != compared);
        Cell { text: shown(&text, CELL_MAX), is_changed }
    };
    StateRow {
        name: shown(&name, CELL_MAX),
        is_part,
        is_accused,
        cells: texts.into_iter().map(cell).collect(),
    }
}

/// The rows as they are, or where they are too many those that are marked, up to as many.
fn thinned(rows: Vec<StateRow>) -> (Vec<StateRow>, usize) {
    let count = rows.len();
    if count <= ROWS_MAX {
        return (rows, 0);
    }
    let is_marked = |row: &StateRow| row.is_accused || row.cells.iter().any(|cell| cell.is_changed);
    let marked = rows.iter().filter(|row| is_marked(row)).count();
    let mut others = ROWS_MAX.saturating_sub(marked);
    let mut rows: Vec<StateRow> = rows
        .into_iter()
        .filter(|row| {
            is_marked(row) || {
                let fits = others > 0;
                others -= usize::from(fits);
                fits
            }
        })
        .collect();
    rows.truncate(ROWS_MAX);
    let left_out = count - rows.len();
    (rows, left_out)
}

impl Entity {
    fn in_words(&self) -> String {
        let snapshot = self.snapshot.map(|event| format!("snapshot of event {event}"));
        let owed = (self.owed > 0).then(|| format!("{} owed", self.owed));
        let (version, status) = (self.version, shown(&self.status, 40));
        let head = format!("event {version}, {status}, by {}", shown(&self.action, 40));
        [Some(head), snapshot, owed].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.fields.values().filter_map(|field| match field {
            Field::Blob { key, .. } => Some(key),
            _ => None,
        })
    }
}

impl Field {
    fn in_words(&self, tenant: Option<&Tenant>, now: At) -> String {
        match self {
            Field::Inline(value) => value.clone(),
            Field::Truncated { limit_bytes } => format!("left out, over {limit_bytes} B"),
            Field::Blob { key, size_bytes, deadline_ms } => {
                let has_row = tenant.is_some_and(|tenant| tenant.blobs.contains_key(key));
                let row = match (has_row, deadline_ms.is_some_and(|at| at <= now.utc_ms)) {
                    (_, true) => "expired",
                    (true, false) => "its row is there",
                    (false, false) => "NO ROW",
                };
                format!("blob {}, {size_bytes} B{}: {row}", short(key), until(*deadline_ms, now))
            }
        }
    }
}

impl Blob {
    fn in_words(&self, now: At) -> String {
        let expired = match self.expires_at_ms {
            Some(at) if at <= now.utc_ms => ", expired",
            _ => "",
        };
        let broken = if self.is_whole { "" } else { ", ANOTHER HASH" };
        format!("{} B{}{expired}{broken}", self.size_bytes, until(self.expires_at_ms, now))
    }
}

impl At {
    fn compared(self) -> At {
        At { since_ms: None, ..self }
    }
}

/// A deadline as the clock of that moment comes to it, and by the wall clock.
fn until(deadline_ms: Option<i64>, now: At) -> String {
    let Some(ms) = deadline_ms else { return ", for good".to_string() };
    match now.since_ms {
        Some(since_ms) => {
            let at_ms = since_ms + (ms - now.utc_ms);
            let since_start =
                if at_ms < 0 { "before the run".to_string() } else { since_start(at_ms) };
            format!(", until {since_start} ({})", utc(ms))
        }
        None => format!(", until {}", utc(ms)),
    }
}

/// Twelve digits of a key's hash.
fn short(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    shown(name.get(..12).unwrap_or(name), 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(expected: &str, actual: &str) -> Finding {
        let [invariant, statement, place, step_kind, because] = [const { String::new() }; 5];
        let [subject, expected, actual] =
            ["tenant-0/Sessions/s0 o'e", expected, actual].map(str::to_string);
        Finding { invariant, statement, place, step_kind, subject, expected, actual, because }
    }

    /// Goal: the field that was lost is marked, its blob, and no other. Method: the forms in which findings name it.
    #[test]
    fn what_a_finding_names_is_marked() {
        let field = |key: &str| Field::Blob {
            key: format!("field-overflow/sha256/{key}.json"),
            size_bytes: 1,
            deadline_ms: None,
        };
        let fields = [("a", "01"), ("ab", "02")].map(|(name, key)| (name.to_string(), field(key)));
        let entity = Entity { fields: fields.into(), ..Entity::default() };
        let entities = [("Sessions/s0 o'e".to_string(), entity)].into();
        let tenants = [("tenant-0".to_string(), Tenant { entities, ..Tenant::default() })].into();
        let moment = Moment { utc_ms: 0, tenants };
        let moments = [("at the failure".to_string(), &moment, Some(0))];
        let marked = |finding: &Finding| {
            let tables = of(&moments, Some(finding));
            let rows = tables.iter().flat_map(|table| &table.rows).filter(|row| row.is_accused);
            rows.map(|row| row.name.clone()).collect::<Vec<_>>()
        };
        for (expected, actual) in [
            ("ab: row field-overflow/sha256/02.json for ever", "no row"),
            ("the entity", "500 BlobLost: field `ab`"),
            ("200 {\"fields\":{\"a\":1,\"ab\":2}}", "200 {\"fields\":{\"a\":1,\"ab\":3}}"),
        ] {
            assert_eq!(marked(&finding(expected, actual)), ["Sessions/s0 o'e", "ab", "02.json"]);
        }
        let other = Finding { subject: "tenant-0/Sessions/s1".to_string(), ..finding("ab", "") };
        assert_eq!(marked(&other), Vec::<String>::new());
    }
}
