//! Smaller numbers, by proptest's binary search: sizes, waits, clock steps, places of faults.
//!
//! **Invariant:** a number goes towards the least that its kind can be, and never past it.

use super::drops::values;
use super::tree::Pass;
use crate::change::Change;
use crate::plan::{Action, Page, Plan};
use crate::recipe::Recipe;
use proptest::num::i64::BinarySearch;
use proptest::strategy::ValueTree;
use stormglass_sim::clock::DEFAULT_START_UTC_MS;
use stormglass_sim::{Effect, Ending, Fault, Survivors, When};

/// Plans that are tried for one number at most.
const TRIES_MAX: u32 = 14;

/// A number of a plan.
enum Number<'a> {
    U32(&'a mut u32),
    U64(&'a mut u64),
    I64(&'a mut i64),
    Size(&'a mut usize),
}

impl Number<'_> {
    fn get(&self) -> i64 {
        let clamped = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match self {
            Number::U32(number) => i64::from(**number),
            Number::U64(number) => clamped(**number),
            Number::I64(number) => **number,
            Number::Size(number) => clamped(**number as u64),
        }
    }

    fn set(&mut self, value: i64) {
        match self {
            Number::U32(number) => **number = u32::try_from(value).unwrap_or(0),
            Number::U64(number) => **number = u64::try_from(value).unwrap_or(0),
            Number::I64(number) => **number = value,
            Number::Size(number) => **number = usize::try_from(value).unwrap_or(0),
        }
    }
}

/// Every number of a plan that may become smaller, with the least that it can be.
fn all(plan: &mut Plan) -> Vec<(i64, Number<'_>)> {
    let mut all = vec![(DEFAULT_START_UTC_MS, Number::I64(&mut plan.start_utc_ms))];
    plan.steps.iter_mut().for_each(|step| of_action(&mut step.action, &mut all));
    plan.faults.iter_mut().for_each(|fault| of_fault(fault, &mut all));
    all
}

fn of_action<'a>(action: &'a mut Action, all: &mut Vec<(i64, Number<'a>)>) {
    match action {
        Action::Wait { ms } => all.push((1, Number::I64(ms))),
        Action::StepClock { by_ms } => all.push((0, Number::I64(by_ms))),
        Action::Sweep { max_rows, .. } => all.push((1, Number::U64(max_rows))),
        Action::History { page: Some(Page { skip, top }), .. } => {
            all.extend([(0, Number::U32(skip)), (1, Number::U32(top))]);
        }
        Action::List { top, part, .. } => {
            all.extend(top.as_mut().map(|top| (1, Number::U32(top))));
            all.push((0, Number::U32(&mut part.skip)));
        }
        Action::Rot { rot, .. } => {
            all.extend([(0, Number::U32(&mut rot.row)), (0, Number::U64(&mut rot.at))]);
            all.push((1, Number::U32(&mut rot.bytes)));
        }
        Action::Crash { ending } => of_ending(ending, all),
        Action::Reconfigure {
            change: Change::Ceiling { bytes: Some(n), .. } | Change::Ttl { seconds: Some(n), .. },
        } => all.push((1, Number::U64(n))),
        other => {
            let recipes = values(other).into_iter().flatten();
            recipes.for_each(|(_, recipe)| of_recipe(recipe, all));
        }
    }
}

fn of_recipe<'a>(recipe: &'a mut Recipe, all: &mut Vec<(i64, Number<'a>)>) {
    match recipe {
        Recipe::Number(number) => all.push((0, Number::I64(number))),
        Recipe::Text { json_bytes, content, .. } | Recipe::Keys { json_bytes, content } => {
            all.extend([(2, Number::U32(json_bytes)), (0, Number::U32(content))]);
        }
        Recipe::List { items: count, json_bytes, content }
        | Recipe::Object { depth: count, json_bytes, content } => {
            all.extend([(0, Number::U32(count)), (2, Number::U32(json_bytes))]);
            all.push((0, Number::U32(content)));
        }
        Recipe::Null | Recipe::Bool(_) | Recipe::Words(_) | Recipe::Json(_) => {}
    }
}

fn of_fault<'a>(fault: &'a mut Fault, all: &mut Vec<(i64, Number<'a>)>) {
    match &mut fault.when {
        When::Nth(n) | When::FromNth(n) => all.push((1, Number::U64(n))),
        When::Rate { .. } => {}
    }
    match &mut fault.effect {
        Effect::Slow { ms } => all.push((1, Number::I64(ms))),
        Effect::ShortRead { missing_bytes } => all.push((1, Number::U64(missing_bytes))),
        Effect::ShortWrite { written_bytes } => all.push((0, Number::U64(written_bytes))),
        Effect::BitRot { at, bytes, .. } => {
            all.extend([(0, Number::U64(at)), (1, Number::U32(bytes))]);
        }
        Effect::Crash(ending) => of_ending(ending, all),
        Effect::Eio | Effect::NoSpace | Effect::LyingSync | Effect::ForgettingSync => {}
    }
}

fn of_ending<'a>(ending: &'a mut Ending, all: &mut Vec<(i64, Number<'a>)>) {
    match ending {
        Ending::PowerLoss(Survivors::Prefix(count)) => all.push((1, Number::Size(count))),
        Ending::DiskSwap { back } => all.push((0, Number::U32(back))),
        _ => {}
    }
}

/// Searches one number after the other.
#[derive(Default)]
pub(super) struct Numbers {
    at: usize,
    search: Option<Search>,
}

struct Search {
    least: i64,
    distance: BinarySearch,
    tries: u32,
}

impl Search {
    /// Whether there is another distance to try after the last one was kept or not.
    fn goes_on(&mut self, was_kept: bool) -> bool {
        self.tries += 1;
        let is_open = match (self.tries, was_kept) {
            // The first try was the least there can be.
            (1, true) => false,
            (1, false) | (_, true) => self.distance.simplify(),
            (_, false) => self.distance.complicate(),
        };
        is_open && self.tries < TRIES_MAX
    }
}

impl Pass for Numbers {
    fn next(&mut self, best: &Plan, was_kept: Option<bool>) -> Option<Plan> {
        let mut tried = best.clone();
        if let (Some(search), Some(kept)) = (&mut self.search, was_kept) {
            if search.goes_on(kept) {
                let value = search.least.saturating_add(search.distance.current());
                all(&mut tried).get_mut(self.at)?.1.set(value);
                return Some(tried);
            }
            (self.search, self.at) = (None, self.at + 1);
        }
        loop {
            let mut numbers = all(&mut tried);
            let (least, number) = numbers.get_mut(self.at)?;
            let (least, value) = (*least, number.get());
            // What is at its least already, or below, stays: a start of the clock before the usual one.
            let is_larger = value > least || (least == 0 && value < 0);
            if is_larger {
                let distance = BinarySearch::new(value.saturating_sub(least));
                self.search = Some(Search { least, distance, tries: 0 });
                number.set(least);
                drop(numbers);
                return Some(tried);
            }
            self.at += 1;
        }
    }
}
