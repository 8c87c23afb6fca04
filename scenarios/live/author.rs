//! What the clients of a live run ask.
//!
//! **Invariant:** a client's requests follow from the seed and its number; when they are sent does not.

use crate::plan::{Action, Page, Part, Step, Who};
use crate::recipe::{Alphabet, Recipe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use stormglass_sim::{Seed, Stream};

/// Tenants of a run.
const TENANTS: u32 = 2;
/// Entities that each boot adds to each tenant.
const ENTITIES: u32 = 4;

/// The numbers that all clients share.
#[derive(Default)]
pub struct Numbers {
    last_step: AtomicU32,
    boots: Mutex<u32>,
}

impl Numbers {
    /// A number that no step had.
    pub fn step(&self) -> u32 {
        self.last_step.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Clients ask for the entities of this boot from now on.
    pub fn boot(&self, boot: u32) {
        *self.boots.lock().expect("no holder panics") = boot;
    }

    /// A read of every entity that boots from this one on have added, and of every history.
    pub fn reads(&self, from_boot: u32) -> Vec<Step> {
        let last = *self.boots.lock().expect("no holder panics");
        let mut steps = Vec::new();
        for entity in from_boot * ENTITIES..(last + 1) * ENTITIES {
            for tenant in 0..TENANTS {
                let who = Who { tenant, entity, set: 0 };
                for action in [Action::Get { who }, Action::History { who, page: None }] {
                    steps.push(Step::alone(self.step(), 0, action));
                }
            }
        }
        steps
    }
}

/// Draws what one client asks.
pub struct Author {
    stream: Stream,
    /// Writes of unknown outcome, to be sent again with their keys.
    pub unsettled: Vec<Step>,
}

impl Author {
    /// A client's.
    pub fn new(seed: Seed, client: u32) -> Author {
        let stream = seed.stream_for("live client", &client.to_string());
        Author { stream, unsettled: Vec::new() }
    }

    /// The next request in this boot.
    pub fn next(&mut self, numbers: &Numbers, boot: u32) -> Step {
        let id = numbers.step();
        let who = self.who(boot);
        let mut step = Step::alone(id, 0, self.action(who, id));
        if step.action.is_write() && self.stream.chance(4, 5) {
            step.key = Some(id);
        }
        step
    }

    /// An entity of this boot or the one before.
    fn who(&mut self, boot: u32) -> Who {
        let oldest = boot.saturating_sub(1) * ENTITIES;
        let entity = oldest + self.stream.below(u64::from(2 * ENTITIES)) as u32;
        Who { tenant: self.stream.below(u64::from(TENANTS)) as u32, entity, set: 0 }
    }

    fn action(&mut self, who: Who, id: u32) -> Action {
        let act = |action: &str, values| Action::Act { who, action: action.to_string(), values };
        match self.stream.below(100) {
            0..15 => Action::Create { who, values: vec![self.value("user_message", id)] },
            15..30 => {
                let values = vec![self.value("user_message", id), self.value("system_prompt", id)];
                act("Configure", values)
            }
            30..60 => {
                let fields = ["user_message", "system_prompt", "draft", "token", "big"];
                let field = *self.stream.pick(&fields);
                act("Write", vec![self.value(field, id)])
            }
            60..65 => act("Note", vec![self.value("notes", id)]),
            65..68 => act("Start", Vec::new()),
            68..72 => act("Tick", vec![self.value("big", id)]),
            72..74 => act("Pause", Vec::new()),
            74..80 => Action::Patch { who, values: vec![self.value("title", id)] },
            80..81 => Action::Delete { who },
            81..92 => Action::Get { who },
            92..96 => Action::History { who, page: self.page() },
            _ => Action::List { tenant: who.tenant, set: 0, top: Some(5), part: Part::default() },
        }
    }

    fn page(&mut self) -> Option<Page> {
        self.stream.chance(1, 2).then(|| Page { skip: self.stream.below(4) as u32, top: 3 })
    }

    /// A text of the step's own: a body that is there is this step's.
    fn value(&mut self, field: &str, id: u32) -> (String, Recipe) {
        let large = self.stream.chance(1, 40);
        let sizes = if large { [131_073, 204_800] } else { [1_000, 3_000] };
        let near = [20, 1_024, 1_025, 1_100];
        let json_bytes = if large || self.stream.chance(1, 2) {
            *self.stream.pick(&sizes)
        } else {
            *self.stream.pick(&near)
        };
        (field.to_string(), Recipe::Text { json_bytes, content: id, alphabet: Alphabet::Wide })
    }
}
