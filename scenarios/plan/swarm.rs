//! What a seed drew for its run as a whole, beside what a plan needs to be played.
//!
//! **Invariant:** it is told and never asked: a replay without it is the same run.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The settings within which the steps and faults of a plan were drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swarm {
    /// Clients that send at once.
    pub clients: u32,
    /// Tenants.
    pub tenants: u32,
    /// Entities.
    pub entities: u32,
    /// Contents that values have.
    pub contents: u32,
    /// Whether some values have 32 to 200 KiB.
    pub has_large: bool,
    /// The kinds of steps that were taken, each with its weight (`write 28`); the others were left out.
    pub kinds: Vec<String>,
    /// The kinds of faults that were taken; every one if absent. Sequences of steps bring theirs all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<BTreeSet<String>>,
}

impl Swarm {
    /// What was drawn: heads, each with its words.
    pub fn settings(&self) -> Vec<(&'static str, Vec<String>)> {
        let Swarm { clients, tenants, entities, contents, has_large, kinds, faults } = self;
        let cast = vec![
            format!("clients {clients}"),
            format!("tenants {tenants}"),
            format!("entities {entities}"),
            format!("contents {contents}"),
            if *has_large { "large values too" } else { "small values" }.to_string(),
        ];
        let faults = match faults {
            None => vec!["of every kind".to_string()],
            Some(none) if none.is_empty() => vec!["of no kind".to_string()],
            Some(some) => some.iter().cloned().collect(),
        };
        vec![("cast", cast), ("step weights", kinds.clone()), ("faults", faults)]
    }
}
