//! How a seed becomes a plan: the scenarios, and the swarm of settings that each seed draws.
//!
//! **Invariant:** swarm testing: each seed takes a random subset of the kinds of steps, with random
//! weights, so that among many seeds there are runs full of each and runs without it. Sizes, waits and
//! faults lie at the boundaries that matter. Everything is drawn from proptest strategies over ChaCha
//! streams of the seed, a stream a purpose.

pub mod author;
pub mod damage;
pub mod draw;
mod edges;
pub mod expiry;
pub mod faults;
pub mod later;
pub mod motif;
mod rare;
mod scenarios;
pub mod sent;
mod sketch;
pub mod swarm;
#[cfg(test)]
mod tests;
pub mod values;

use crate::plan::{Action, Mode, PLAN_VERSION, Plan, Protocol};
use crate::profile::{Bounds, Profile};
use author::{Author, Cast};
use draw::Draw;
use motif::Motif;
pub use scenarios::SCENARIOS;
use stormglass_sim::clock::DEFAULT_START_UTC_MS;
use stormglass_sim::{DiskOptions, Seed};
use values::Taste;

/// A scenario: a name, what it does, and how a seed becomes a plan of it.
pub struct Scenario {
    /// As `--scenario` takes it.
    pub name: &'static str,
    /// In one line.
    pub description: &'static str,
    /// How many seeds play it when no scenario is named, against the others.
    pub weight: u64,
    /// The steps that it is made of, each with its weight before the seed's swarm.
    kinds: &'static [(Kind, u32)],
    /// How many contents its values have.
    contents: Bounds,
    /// Whether it is about several tenants: there are at least two, and their entities are namesakes.
    has_namesakes: bool,
    /// Milliseconds between two sweeps of the background sweeper; 0 for none.
    sweep_intervals_ms: &'static [u64],
}

/// What a step is to do.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Write,
    Legal,
    AnyAct,
    Refused,
    Patch,
    Create,
    Delete,
    Get,
    History,
    List,
    Malformed,
    Sweep,
    Wait,
    ToDeadline,
    StepClock,
    EndBoot,
    Repeat,
    Guest,
    Later,
    Task,
    /// A sequence of steps, with its name.
    Motif(&'static str, Motif),
}

impl Kind {
    fn name(self) -> String {
        match self {
            Kind::Motif(name, _) => swarm::kebab(name),
            other => swarm::kebab(&format!("{other:?}")),
        }
    }
}

impl Scenario {
    /// The plan of a seed, within a profile's bounds.
    pub fn plan(&self, seed: Seed, profile: &Profile) -> Plan {
        let mut swarm = Draw::new(seed, "swarm");
        let idle_ms = swarm.pick(&[1_000, 300_000]);
        let entities = swarm.within(profile.entities);
        let contents = swarm.within(self.contents);
        let clients = swarm.within(profile.clients);
        let tenants = swarm.within(profile.tenants);
        // Of several tenants each has one entity at least.
        let tenants = if self.has_namesakes { tenants.max(2) } else { tenants.min(entities) };
        let cast = Cast {
            clients,
            tenants,
            entities: entities.max(tenants),
            has_namesakes: self.has_namesakes,
            taste: Taste { contents, has_large: swarm.share(profile.large_runs) },
            idle_ms,
        };
        let kinds = self.taken(&mut swarm);
        let step_count = swarm.within(profile.steps) as usize;
        let mut author = Author::new(Draw::new(seed, "workload"), cast);
        write(&mut author, &kinds, step_count);
        let rare = rare::add(seed, &mut author);
        let edge = edges::add(seed, &mut author);
        let checkpoints = edges::add_checkpoints(seed, &mut author);
        let late_put = edges::add_late_put(seed, &mut author);
        let Author { steps, mut faults, .. } = author;
        let (more, kinds_of_faults) = swarm::faults(seed, &steps, profile);
        faults.extend(more);
        let taken = kinds.iter().map(|(kind, weight)| (kind.name(), *weight));
        let ends = rare.iter().map(|rare| rare.name).chain(edge).chain(checkpoints).chain(late_put);
        let taken = taken.chain(ends.map(|name| (name.to_string(), 1)));
        let drawn = swarm::record(&cast, taken, kinds_of_faults);
        let interval_ms = swarm.pick(self.sweep_intervals_ms);
        let mut plan = Plan {
            version: PLAN_VERSION,
            scenario: self.name.to_string(),
            seed,
            start_utc_ms: DEFAULT_START_UTC_MS + i64::from(swarm.below(1_000)),
            disk: DiskOptions {
                sector_size_bytes: swarm.pick(&[512, 512, 4_096]),
                ..DiskOptions::default()
            },
            protocol: swarm.pick(&[
                Protocol::EventThenBlobs,
                Protocol::EventThenBlobs,
                Protocol::EventThenBlobs,
                Protocol::BlobsThenEvent,
                Protocol::Atomic,
            ]),
            mode: if swarm.percent(6) { Mode::InlineTruncate } else { Mode::BlobRefs },
            inline_max_bytes: swarm::ceiling(seed),
            sweep_interval_ms: (interval_ms > 0).then_some(interval_ms),
            sweep_batch: swarm.pick(&[1, 3, 10_000]),
            snapshot_every: swarm.pick(&[1, 2, 5, 100]),
            idle_ms,
            checkpoint_pages: swarm::checkpoint_pages(seed),
            specs: None,
            overtaking_percent: swarm.pick(&[0, 0, 0, 5, 30]),
            policy: swarm::policy(seed),
            swarm: Some(drawn),
            steps,
            faults,
            fuel: Vec::new(),
        };
        rare.into_iter().for_each(|rare| rare.settle(&mut plan));
        damage::strike(&mut plan, profile);
        plan
    }

    /// The kinds of steps that a seed takes, and how often against one another.
    fn taken(&self, swarm: &mut Draw) -> Vec<(Kind, u32)> {
        let weigh = |(kind, weight): &(Kind, u32)| {
            // Writes, and guests where there are some, are what it is about: always in the mix.
            let is_taken = matches!(kind, Kind::Write | Kind::Guest) || swarm.percent(65);
            (*kind, if is_taken { weight * (1 + swarm.below(4)) } else { 0 })
        };
        self.kinds.iter().map(weigh).collect()
    }
}

fn write(author: &mut Author, kinds: &[(Kind, u32)], step_count: usize) {
    for entity in 0..author.cast.entities {
        let who = author.cast.member(entity);
        let create = author.create(who);
        author.send(create);
    }
    while author.steps.len() < step_count {
        let kind = author.draw.weighted(kinds).unwrap_or(Kind::Write);
        write_one(author, kind);
    }
}

fn write_one(author: &mut Author, kind: Kind) {
    let who = author.who();
    let action = match kind {
        Kind::Write => author.write(who),
        Kind::Legal => author.legal(who),
        Kind::AnyAct => author.any_act(who),
        Kind::Refused => author.refused(who),
        Kind::Patch => author.patch(who),
        Kind::Create => author.create(who),
        Kind::Delete => Action::Delete { who },
        Kind::Get => Action::Get { who },
        Kind::History => author.history(who),
        Kind::List => {
            let top = sent::top(&mut author.draw);
            Action::List { tenant: who.tenant, set: who.set, top, part: author.part() }
        }
        Kind::Malformed => author.malformed(who),
        Kind::Sweep => sent::sweep(&mut author.draw, who.tenant),
        Kind::Wait => sent::wait(&mut author.draw),
        Kind::StepClock => sent::step_clock(&mut author.draw),
        Kind::ToDeadline => return author.to_deadline(),
        Kind::EndBoot => return motif::end_boot(author),
        Kind::Repeat => return author.repeat(),
        Kind::Guest => author.guest(who),
        Kind::Later => author.later(who),
        Kind::Task => author.task(who),
        Kind::Motif(_, motif) => return motif(author),
    };
    author.send(action);
}
