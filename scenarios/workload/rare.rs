//! Motifs that come at the end of few plans, for places that the scenarios' own steps seldom come to.
//!
//! **Invariant:** as of every motif: legal for a correct platform, whatever came before it. Whether a plan has one,
//! and which, is drawn from a stream of its own: the plans of other seeds are what they were without it.

use super::author::{AROUND_MS, Author, EXPIRING, TTL_MS, expiring, write_of};
use super::draw::Draw;
use super::faults;
use super::motif::{Motif, end_boot};
use crate::malformed::Malformed;
use crate::plan::{Action, Plan, Who};
use crate::recipe::{Alphabet, Recipe};
use stormglass_sim::{Policy, Seed};

/// Plans that have one, in percent.
const SHARE: u32 = 15;

/// Plans whose rare motif is a crowd that go on by PCT, in percent: a crowd is what it is for.
const PCT_SHARE: u32 = 60;

const MOTIFS: [(&str, Motif); 7] = [
    ("row-gone-under-a-reader", row_gone_under_a_reader),
    ("row-gone-meanwhile", row_gone_meanwhile),
    ("guest-in-a-crowd", guest_in_a_crowd),
    ("crowd-in-doubt", crowd_in_doubt),
    ("crowd-of-writers", crowd_of_writers),
    ("several-that-are-none", several_that_are_none),
    ("guests-that-misbehave", guests_that_misbehave),
];

/// A motif that was added to a plan.
pub struct Rare {
    /// Its name.
    pub name: &'static str,
    /// Who is to go on, if that is said.
    policy: Option<Policy>,
    /// In how many percent of the moments time overtakes, if that is said.
    overtaking_percent: Option<u32>,
}

impl Rare {
    /// Gives a plan the settings that its motif needs.
    pub fn settle(self, plan: &mut Plan) {
        plan.policy = self.policy.unwrap_or(plan.policy);
        plan.overtaking_percent = self.overtaking_percent.unwrap_or(plan.overtaking_percent);
    }
}

/// Adds what the seed draws, if it draws one.
pub fn add(seed: Seed, author: &mut Author) -> Option<Rare> {
    let mut draw = Draw::new(seed, "rare");
    if !draw.percent(SHARE) {
        return None;
    }
    let (name, motif) = draw.pick(&MOTIFS);
    motif(author);
    let is_crowd = name.contains("crowd");
    let pct = Policy::Pct { depth: draw.pick(&[2, 2, 3]), span: draw.pick(&[5, 10, 20]) };
    Some(Rare {
        name,
        policy: (is_crowd && draw.percent(PCT_SHARE)).then_some(pct),
        overtaking_percent: (is_crowd && draw.percent(50)).then_some(20),
    })
}

fn act(who: Who, action: &str, values: Vec<(String, Recipe)>) -> Action {
    Action::Act { who, action: action.to_string(), values }
}

/// A running actor shows a value, a sweep takes its row, the clock is set back, and it is read again (I4): the
/// journal has it. Only the wall clock moves, or the actor would be idle and go, and its replay put the row back.
fn row_gone_under_a_reader(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    author.push(Action::Get { who });
    let past_ms = author.draw.pick(&AROUND_MS[2..]);
    author.push(Action::StepClock { by_ms: TTL_MS + past_ms });
    author.push(Action::Sweep { tenant: who.tenant, max_rows: 1_000 });
    let back_ms = past_ms + author.draw.pick(&[0, 1, 1_000]);
    author.push(Action::StepClock { by_ms: -back_ms });
    let read = if author.draw.percent(70) { Action::Get { who } } else { author.write(who) };
    author.push(read);
    author.push(Action::Get { who });
}

/// A guest is to read a value of its event whose row a sweep has taken, and whose deadline the clock has then
/// been set back before (I4, I10): the journal has it. The boot that finds the run owed cannot read its outbox
/// at first, so that there is time for that.
fn row_gone_meanwhile(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    let ahead_ms = author.draw.pick(&[2_000, 10_000]);
    author.clock_to(author.clock_ms() + TTL_MS - ahead_ms);
    let step = author.push(act(who, "EchoPrompt", Vec::new()));
    author.faults.push(faults::killed_before_the_guest(step));
    let boot = author.boot() + 1;
    author.faults.push(faults::unopened(&mut author.draw, boot));
    if author.draw.percent(50) {
        // The state that the guest is shown is then one of the past.
        let again = author.overflowing();
        author.push(write_of(who, vec![(EXPIRING.to_string(), again)]));
    }
    author.push(Action::Get { who });
    let by_ms = ahead_ms + author.draw.pick(&AROUND_MS[2..]);
    author.push(Action::StepClock { by_ms });
    author.push(Action::Sweep { tenant: who.tenant, max_rows: 1_000 });
    author.push(Action::StepClock { by_ms: -by_ms });
    author.push(Action::Wait { ms: 1_500 });
    author.push(Action::Get { who });
}

/// Guests compute while everything else happens to their entity and its file (I4, I8, I15).
fn guest_in_a_crowd(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    if author.draw.percent(50) {
        author.clock_to(author.clock_ms() + TTL_MS);
    }
    if author.draw.percent(60) {
        // The boot's first sweep comes due while they are at it, where time overtakes.
        author.push(Action::Restart);
        author.push(Action::Get { who });
        author.push(Action::Wait { ms: 59_500 });
    }
    let sweep = Action::Sweep { tenant: who.tenant, max_rows: 1_000 };
    for at in 0..6 + author.draw.below(3) {
        let action = match at {
            // It goes on for many slices, and others have their time.
            0 => act(who, "Torment", vec![("mode".to_string(), Recipe::Words("loop".to_string()))]),
            1 => author.guest(who),
            2..5 => sweep.clone(),
            _ if author.draw.percent(30) => author.later(who),
            _ => author.write(who),
        };
        author.push(action);
        author.last().together = at > 0;
    }
    author.push(Action::Get { who });
}

/// A commit fails while others wait for the same file (I2, section 4): nobody is answered before it is settled.
fn crowd_in_doubt(author: &mut Author) {
    let who = author.someone();
    // One that nobody else has to do with, so that there are two.
    let other = Who { entity: author.cast.entities + 2, ..who };
    let create = author.create(other);
    author.push(create);
    let mut first = None;
    for at in 0..4 + author.draw.below(3) {
        let whom = if at % 2 == 0 { who } else { other };
        let write = author.write(whom);
        let step = author.push(write);
        author.last().together = at > 0;
        first.get_or_insert(step);
    }
    let step = first.expect("there were at least four");
    author.faults.push(faults::failed_commit(&mut author.draw, step));
    author.push(Action::Get { who });
    if author.draw.percent(30) {
        end_boot(author);
    }
}

/// Several entities of one file are written at once and share transactions (I1, I2, section 3): what fails for
/// one fails for no other, and nobody is answered before the commit that holds its event.
fn crowd_of_writers(author: &mut Author) {
    let who = author.someone();
    let first = author.cast.entities + 20;
    let writers: Vec<Who> =
        (first..first + 3 + author.draw.below(2)).map(|entity| Who { entity, ..who }).collect();
    for writer in &writers {
        let create = author.create(*writer);
        author.push(create);
    }
    // On pages that a boot does not read before somebody writes there: the same body, and rows of the outbox.
    let known = Recipe::Text { json_bytes: 3_000, content: 0, alphabet: Alphabet::Plain };
    let unread = match author.draw.below(4) {
        0 => Some(write_of(who, vec![("user_message".to_string(), known)])),
        1 => Some(act(who, "Remind", Vec::new())),
        _ => None,
    };
    if let Some(first) = &unread {
        author.push(first.clone());
        author.push(Action::Restart);
    }
    let mut steps = Vec::new();
    for writer in &writers {
        let write = match &unread {
            Some(Action::Act { action, values, .. }) => act(*writer, action, values.clone()),
            _ => {
                let body = author.overflowing();
                write_of(*writer, vec![("user_message".to_string(), body)])
            }
        };
        steps.push(author.push(write));
        author.last().together = steps.len() > 1;
    }
    for step in steps {
        match author.draw.below(6) {
            _ if unread.is_some() => {
                let faults = faults::failed_reads(&mut author.draw, step);
                author.faults.extend(faults);
            }
            0 => author.faults.push(faults::crash_in(&mut author.draw, step)),
            1..4 => author.faults.push(faults::failed_commit(&mut author.draw, step)),
            _ => {}
        }
    }
    for writer in writers {
        author.push(Action::Get { who: writer });
    }
    if author.draw.percent(30) {
        end_boot(author);
    }
}

/// Requests that are none, of several kinds (I18).
fn several_that_are_none(author: &mut Author) {
    for _ in 0..6 {
        let who = author.someone();
        let action = author.malformed(who);
        author.push(action);
    }
    if author.draw.percent(30) {
        let who = author.someone();
        author.push(Action::Malformed { who, what: Malformed::BodyTooLarge });
    }
}

/// Guests that end in every way that is none of theirs (I15, section 9): the host survives, a reason is recorded.
fn guests_that_misbehave(author: &mut Author) {
    let who = author.someone();
    for _ in 0..4 {
        let mode =
            author.draw.pick(&["trap", "loop", "memory", "recurse", "unknown_action", "large"]);
        let action = author.draw.pick(&["Torment", "Whisper"]);
        author.push(act(who, action, vec![("mode".to_string(), Recipe::Words(mode.to_string()))]));
    }
    author.push(Action::Get { who });
}
