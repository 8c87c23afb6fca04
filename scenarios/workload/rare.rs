//! Motifs that come at the end of few plans, for places that the scenarios' own steps seldom come to.
//!
//! **Invariant:** as of every motif: legal for a correct platform, whatever came before it. Whether a plan has one,
//! and which, is drawn from a stream of its own: the plans of other seeds are what they were without it.

use super::author::{AROUND_MS, Author, EXPIRING, TTL_MS, expiring, write_of};
use super::draw::Draw;
use super::faults;
use super::motif::{Motif, end_boot};
use crate::plan::{Action, Who};
use crate::recipe::Recipe;
use stormglass_sim::Seed;

/// Plans that have one, in percent.
const SHARE: u32 = 12;

const MOTIFS: [(&str, Motif); 4] = [
    ("row-gone-meanwhile", row_gone_meanwhile),
    ("guest-in-a-crowd", guest_in_a_crowd),
    ("crowd-in-doubt", crowd_in_doubt),
    ("several-that-are-none", several_that_are_none),
];

/// Adds what the seed draws, if it draws one; returns its name.
pub fn add(seed: Seed, author: &mut Author) -> Option<&'static str> {
    let mut draw = Draw::new(seed, "rare");
    if !draw.percent(SHARE) {
        return None;
    }
    let (name, motif) = draw.pick(&MOTIFS);
    motif(author);
    Some(name)
}

fn act(who: Who, action: &str, values: Vec<(String, Recipe)>) -> Action {
    Action::Act { who, action: action.to_string(), values }
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
    for at in 0..5 + author.draw.below(3) {
        let action = match at {
            0 | 1 => author.guest(who),
            _ => match author.draw.below(4) {
                0 | 1 => Action::Sweep { tenant: who.tenant, max_rows: 1_000 },
                2 => author.later(who),
                _ => author.write(who),
            },
        };
        author.push(action);
        author.last().together = at > 0;
    }
    author.push(Action::Get { who });
}

/// A commit fails while others wait for the same file (I2, section 4): nobody is answered before it is settled.
fn crowd_in_doubt(author: &mut Author) {
    let who = author.someone();
    let mut first = None;
    for at in 0..3 + author.draw.below(3) {
        let whom = if author.draw.percent(50) { who } else { author.other_than(who) };
        let write = author.write(whom);
        let step = author.push(write);
        author.last().together = at > 0;
        first.get_or_insert(step);
    }
    let step = first.expect("there were at least three");
    author.faults.push(faults::failed_commit(&mut author.draw, step));
    author.push(Action::Get { who });
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
}
