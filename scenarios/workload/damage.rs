//! Strategies of dishonest faults: at most one kind of them in a plan, and the steps that make it matter.
//!
//! **Invariant:** drawn from a stream of its own, after everything else: a seed that draws none has the
//! plan that it would have without this file.

use super::draw::Draw;
use crate::damage::{Place, Rot};
use crate::plan::{Action, Plan, Step, Who};
use crate::profile::Profile;
use stormglass_sim::{Effect, Ending, Fault, FileKind, OpKind, Survivors, Target, When};

/// Gives a plan a dishonest fault, if its seed draws one.
pub fn strike(plan: &mut Plan, profile: &Profile) {
    let mut draw = Draw::new(plan.seed, "damage");
    if !draw.share(profile.damage) {
        return;
    }
    type Strike = fn(&mut Draw, &mut Plan);
    let kinds: [(Strike, u32); 5] = [
        (rotten_row, 5),
        (rotten_file, 3),
        (lying_sync, 3),
        (forgetting_sync, 2),
        (older_image, 4),
    ];
    let kind = draw.weighted(&kinds).expect("there are weights");
    kind(&mut draw, plan);
}

/// Puts steps between two of a plan's that are not sent together, behind its first writes.
struct Insertion<'a> {
    plan: &'a mut Plan,
    at: usize,
}

impl Insertion<'_> {
    fn at_random<'a>(draw: &mut Draw, plan: &'a mut Plan) -> Insertion<'a> {
        let steps = &plan.steps;
        let first = steps.iter().position(|step| step.action.is_write()).unwrap_or(0) + 1;
        let is_open = |at: &usize| steps.get(*at).is_none_or(|step| !step.together);
        let places: Vec<usize> = (first.min(steps.len())..=steps.len()).filter(is_open).collect();
        let at = if places.is_empty() { steps.len() } else { draw.pick(&places) };
        Insertion { plan, at }
    }

    fn push(&mut self, action: Action) {
        let id = self.plan.steps.iter().map(|step| step.id).max().unwrap_or(0) + 1;
        self.plan.steps.insert(self.at, Step::alone(id, 1, action));
        self.at += 1;
    }

    /// The entities that were written to before, the last one first.
    fn written(&self) -> Vec<Who> {
        let mut found = Vec::new();
        for step in self.plan.steps[..self.at].iter().rev().filter(|step| step.action.is_write()) {
            found.extend(step.action.who().filter(|who| !found.contains(who)));
        }
        found
    }

    fn tenant(&self, draw: &mut Draw) -> u32 {
        let tenants: Vec<u32> = self.written().iter().map(|who| who.tenant).collect();
        if tenants.is_empty() { 0 } else { draw.pick(&tenants) }
    }

    /// Reads what was written to, of some of them the history.
    fn read(&mut self, draw: &mut Draw) {
        for who in self.written().into_iter().take(3) {
            self.push(Action::Get { who });
            if draw.percent(30) {
                self.push(Action::History { who, page: None });
            }
        }
    }
}

fn rot(draw: &mut Draw, place: Place) -> Rot {
    Rot {
        place,
        row: draw.below(1_000),
        at: u64::from(draw.below(1 << 20)),
        bytes: draw.pick(&[1, 1, 4, 16]),
        mask: draw.pick(&[1, 2, 4, 128, 255]),
    }
}

/// Bits flip in a row's bytes: they stand in the file and no longer in the log, and no process has them in
/// memory.
fn rotten_row(draw: &mut Draw, plan: &mut Plan) {
    let mut here = Insertion::at_random(draw, plan);
    let tenant = here.tenant(draw);
    here.push(Action::Checkpoint { tenant });
    here.push(Action::Restart);
    for _ in 0..1 + draw.below(2) {
        let place =
            draw.pick(&[Place::Blob, Place::Blob, Place::Blob, Place::Event, Place::Snapshot]);
        let rot = rot(draw, place);
        here.push(Action::Rot { tenant, rot });
    }
    here.read(draw);
}

/// Bits flip anywhere in a file, while a server runs or as it opens its files.
fn rotten_file(draw: &mut Draw, plan: &mut Plan) {
    let place = draw.pick(&[Place::Database, Place::Wal, Place::Wal]);
    if draw.percent(30) {
        let file = if place == Place::Wal { FileKind::Wal } else { FileKind::Database };
        let Rot { at, bytes, mask, .. } = rot(draw, place);
        let boot = 2 + draw.below(2);
        let target = Target {
            scope: Some(format!("recovery of boot {boot}")),
            op: Some(OpKind::Read),
            file: Some(file),
        };
        let when = When::Nth(u64::from(1 + draw.below(3)));
        plan.faults.push(Fault { effect: Effect::BitRot { at, bytes, mask }, target, when });
        return end_and_read(draw, plan);
    }
    let mut here = Insertion::at_random(draw, plan);
    let tenant = here.tenant(draw);
    if place == Place::Database {
        here.push(Action::Checkpoint { tenant });
        here.push(Action::Restart);
    }
    let rot = rot(draw, place);
    here.push(Action::Rot { tenant, rot });
    if draw.percent(95) {
        let ending = draw.pick(&[Ending::ProcessKill, Ending::PowerLoss(Survivors::None)]);
        here.push(Action::Crash { ending });
    }
    here.read(draw);
}

/// The power goes, or the process, and what was written is read.
fn end_and_read(draw: &mut Draw, plan: &mut Plan) {
    let mut here = Insertion::at_random(draw, plan);
    let ending = draw.pick(&[
        Ending::ProcessKill,
        Ending::PowerLoss(Survivors::None),
        Ending::PowerLoss(Survivors::None),
    ]);
    here.push(Action::Crash { ending });
    here.read(draw);
}

fn lying_sync(draw: &mut Draw, plan: &mut Plan) {
    broken_sync(draw, plan, Effect::LyingSync);
}

fn forgetting_sync(draw: &mut Draw, plan: &mut Plan) {
    broken_sync(draw, plan, Effect::ForgettingSync);
}

fn broken_sync(draw: &mut Draw, plan: &mut Plan, effect: Effect) {
    let file =
        draw.pick(&[None, Some(FileKind::Wal), Some(FileKind::Wal), Some(FileKind::Database)]);
    let nth = u64::from(1 + draw.below(12));
    // A device whose syncs all fail is served to nobody, honest or not.
    let is_lie = effect == Effect::LyingSync;
    let when = if is_lie && draw.percent(40) { When::FromNth(nth) } else { When::Nth(nth) };
    let target = Target { scope: None, op: Some(OpKind::Sync), file };
    plan.faults.push(Fault { effect, target, when });
    end_and_read(draw, plan);
}

/// The disk goes back to what it was some steps ago.
fn older_image(draw: &mut Draw, plan: &mut Plan) {
    let back = draw.pick(&[0, 1, 1, 2, 3, 5, 8, 1_000]);
    let ending = Ending::DiskSwap { back };
    let mut here = Insertion::at_random(draw, plan);
    here.push(Action::Crash { ending });
    here.read(draw);
}
