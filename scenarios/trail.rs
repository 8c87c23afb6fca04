//! What a run led to, in so few bytes that two runs can be compared: was this fault of any consequence?
//!
//! **Invariant:** equal trails mean the same answers to the same steps and the same states found by recoveries.
//! Times are no part of a trail, nor is the order in which things came about.

use crate::http::Answer;
use crate::plan::Step;
use crate::server::Said;
use crate::translate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use stormglass_model::tables::TenantRows;
use stormglass_sim::disk::Fate;
use stormglass_sim::{Crash, Digest, Ending, FileKind, OpKind, Survivors};

/// Where a fault struck.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The kind of fault.
    pub kind: String,
    /// The operation that it struck.
    pub op: OpKind,
    /// On a file of this kind.
    pub file: FileKind,
    /// What the platform was at.
    pub phase: String,
}

/// A fault of a plan that struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Struck {
    /// Its place among the plan's faults.
    pub fault: usize,
    /// Where it struck first.
    pub place: Place,
}

/// What a run led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trail {
    /// Hash over the answers to the plan's steps, and to the reads at the end.
    pub answers: String,
    /// Hash over the states that recoveries began with, where no quiet moment had shown them before.
    pub recoveries: String,
    /// The faults that struck.
    pub struck: Vec<Struck>,
    /// What the crash states came to that a plan leaves to be drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<Drawn>,
}

/// A crash state that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// The number that it was drawn from.
    pub number: u64,
    /// What became of each pending change.
    pub fates: Vec<Fate>,
}

/// The drawn states among those of `crashes`: the first of each number.
pub fn drawn(crashes: &[Crash]) -> Vec<Drawn> {
    let mut all: Vec<Drawn> = Vec::new();
    for crash in crashes {
        let Ending::PowerLoss(Survivors::Drawn(number)) = crash.ending else { continue };
        if all.iter().all(|one| one.number != number) {
            all.push(Drawn { number, fates: crash.fates.clone() });
        }
    }
    all
}

/// A trail while the run goes on.
#[derive(Default)]
pub struct Follower {
    answers: BTreeMap<u32, Digest>,
    last_reads: Vec<Digest>,
    recoveries: Vec<Digest>,
}

impl Follower {
    /// A step of the plan was answered, or not.
    pub fn answered(&mut self, step: &Step, said: &Said) {
        self.answers.insert(step.id, digest(said));
    }

    /// What was read at the end.
    pub fn last_read(&mut self, reads: &[(Step, Answer)]) {
        let digest = |(step, answer): &(Step, Answer)| {
            let text = format!("{} {}", translate::brief(step), content(answer));
            Digest::of(text.as_bytes())
        };
        self.last_reads = reads.iter().map(digest).collect();
    }

    /// A boot is over: the rows as they were read at the last quiet moment, and those that it left.
    pub fn boot_ended(&mut self, before: &[Arc<TenantRows>], left: &[Arc<TenantRows>]) {
        let left = state(left);
        if state(before) != left {
            self.recoveries.push(left);
        }
    }

    /// The trail, with the faults that struck.
    pub fn into_trail(self, struck: Vec<Struck>) -> Trail {
        let Follower { answers, last_reads, recoveries } = self;
        Trail {
            answers: Digest::of(format!("{answers:?} {last_reads:?}").as_bytes()).to_string(),
            recoveries: Digest::of(format!("{recoveries:?}").as_bytes()).to_string(),
            struck,
            drawn: Vec::new(),
        }
    }
}

fn digest(said: &Said) -> Digest {
    let text = match said {
        Said::Answer(answer) => content(answer),
        other => other.in_words(),
    };
    Digest::of(text.as_bytes())
}

/// An answer without the times in it.
fn content(answer: &Answer) -> String {
    let Answer { status, code, body, sequence_nr } = answer;
    // What an error says beside its code is for people.
    let body = if *status < 400 { without_times(body.clone()) } else { Value::Null };
    format!("{status} {code:?} {sequence_nr:?} {body}")
}

/// The times of events are members of histories' items.
fn without_times(mut body: Value) -> Value {
    let items = body.get_mut("value").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        item.remove("timestamp");
    }
    body
}

/// What a recovery has to begin with: which rows there are, without their times.
fn state(rows: &[Arc<TenantRows>]) -> Digest {
    let tenant = |rows: &Arc<TenantRows>| {
        let TenantRows { tenant, events, blobs, snapshots, outbox } = &**rows;
        let mut lines: Vec<String> = Vec::new();
        lines
            .extend(events.iter().map(|row| format!("event {:?} {}", row.entity, row.sequence_nr)));
        lines.extend(
            blobs.iter().map(|row| format!("blob {} {}", row.key, row.expires_at_ms.is_some())),
        );
        lines.extend(
            snapshots.iter().map(|row| format!("snapshot {:?} {}", row.entity, row.sequence_nr)),
        );
        lines.extend(outbox.iter().map(|row| {
            format!("owed {:?} {} {} {:?}", row.entity, row.sequence_nr, row.n, row.state)
        }));
        lines.sort();
        format!("{tenant}\n{}", lines.join("\n"))
    };
    let tenants: Vec<String> = rows.iter().map(tenant).collect();
    Digest::of(tenants.join("\n\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Who};
    use serde_json::json;

    fn step(id: u32) -> Step {
        Step::alone(id, 1, Action::Get { who: Who { tenant: 0, entity: 0, set: 0 } })
    }

    fn answer(body: Value) -> Answer {
        Answer { status: 200, code: None, body, sequence_nr: Some(1) }
    }

    fn trail(answers: &[(u32, Value)]) -> Trail {
        let mut follower = Follower::default();
        for (id, body) in answers {
            follower.answered(&step(*id), &Said::Answer(answer(body.clone())));
        }
        follower.into_trail(Vec::new())
    }

    #[test]
    fn an_answer_counts_by_its_step_and_content_and_not_by_time_or_order() {
        let (item, later) = (json!({"a": 1, "timestamp": "x"}), json!({"a": 1, "timestamp": "y"}));
        let other = json!({"a": 2, "timestamp": "x"});
        let of = |item: &Value| json!({"value": [item]});
        let first = trail(&[(1, of(&item)), (2, of(&other))]);
        assert_eq!(trail(&[(2, of(&other)), (1, of(&later))]), first);
        assert_ne!(trail(&[(1, of(&other)), (2, of(&item))]), first);
        let mut lost = Follower::default();
        lost.answered(&step(1), &Said::Lost);
        assert_ne!(lost.into_trail(Vec::new()), trail(&[]));
    }

    #[test]
    fn a_recovery_counts_where_it_begins_with_what_no_quiet_moment_showed() {
        let rows = |keys: &[&str]| {
            let blob = |key: &&str| stormglass_model::tables::BlobRow {
                key: key.to_string(),
                data: Vec::new().into(),
                size_bytes: 0,
                expires_at_ms: None,
            };
            let blobs = keys.iter().map(blob).collect();
            vec![Arc::new(TenantRows { blobs, ..TenantRows::default() })]
        };
        let trail = |before: &[&str], left: &[&str]| {
            let mut follower = Follower::default();
            follower.boot_ended(&rows(before), &rows(left));
            follower.into_trail(Vec::new())
        };
        assert_eq!(trail(&["a", "b"], &["b", "a"]), Follower::default().into_trail(Vec::new()));
        assert_ne!(trail(&["a", "b"], &["a"]), trail(&["a"], &["a"]));
        assert_ne!(trail(&["a", "b"], &["a"]), trail(&["a", "b"], &["b"]));
    }
}
