//! Motifs at the edges: guests whose time is up, rows that wait for places, parents that go, commits that fail and
//! fail again.
//!
//! **Invariant:** as of every motif: legal for a correct platform, whatever came before it. As with `rare`,
//! whether a plan has one is drawn from a stream of its own: the plans of other seeds are what they were without.

use super::author::{Author, EXPIRING, TTL_MS, expiring, write_of};
use super::draw::Draw;
use super::faults;
use super::motif::{Motif, end_boot};
use crate::plan::{Action, Who};
use crate::recipe::Recipe;
use stormglass_sim::Seed;

/// Plans that have one, in percent.
const SHARE: u32 = 6;

/// Plans in which somebody brings a log to its file, in percent.
const CHECKPOINT_SHARE: u32 = 5;

/// Plans in which a put comes late, in percent.
const LATE_PUT_SHARE: u32 = 3;

const MOTIFS: [(&str, Motif); 6] = [
    ("guest-over-time", guest_over_time),
    ("guest-at-a-deadline", guest_at_a_deadline),
    ("rows-without-a-place", rows_without_a_place),
    ("parents-that-go", parents_that_go),
    ("unsettled-commits", unsettled_commits),
    ("owed-in-doubt", owed_in_doubt),
];

/// Adds what the seed draws, if it draws one, and returns its name.
pub fn add(seed: Seed, author: &mut Author) -> Option<&'static str> {
    let mut draw = Draw::new(seed, "edges");
    if !draw.percent(SHARE) {
        return None;
    }
    let (name, motif) = draw.pick(&MOTIFS);
    motif(author);
    Some(name)
}

/// Adds checkpoints that somebody asks for, if the seed draws them, and returns their name.
pub fn add_checkpoints(seed: Seed, author: &mut Author) -> Option<&'static str> {
    let mut draw = Draw::new(seed, "checkpoints");
    draw.percent(CHECKPOINT_SHARE).then(|| checkpoints(author))?;
    Some("checkpoints")
}

/// Adds a put that comes late, if the seed draws one, and returns its name.
pub fn add_late_put(seed: Seed, author: &mut Author) -> Option<&'static str> {
    let mut draw = Draw::new(seed, "late-put");
    draw.percent(LATE_PUT_SHARE).then(|| late_put(author))?;
    Some("late-put")
}

/// An append takes as long as what it brings has to live, or a millisecond more or less (I10, I12): what has expired
/// by the time of its put is not put any more.
fn late_put(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    let step = author.push(expiring(who, body));
    author.faults.push(faults::slow_append(step, TTL_MS + author.draw.pick(&[-1, 0, 1])));
    author.push(Action::Get { who });
    author.push(Action::History { who, page: None });
}

/// Another connection brings a tenant's log to its file, and fails or dies at it (I1, I11): what was acknowledged
/// is there, whichever of the two holds it.
fn checkpoints(author: &mut Author) {
    let who = author.someone();
    for _ in 0..2 {
        let write = author.write(who);
        author.push(write);
        let step = author.push(Action::Checkpoint { tenant: who.tenant });
        if author.draw.percent(70) {
            author.faults.push(faults::in_checkpoint(&mut author.draw, step));
        }
        let write = author.legal(who);
        author.push(write);
        author.push(Action::Get { who });
    }
    end_boot(author);
    author.push(Action::Get { who });
}

fn act(who: Who, action: &str) -> Action {
    Action::Act { who, action: action.to_string(), values: Vec::new() }
}

/// A guest loses as much time as it has, or a millisecond less, wherever it comes by (I15): before it begins,
/// while its state is made ready, at a call, when it has ended. One that was late has timed out however it ended.
fn guest_over_time(author: &mut Author) {
    let who = author.someone();
    let text = Recipe::Words("what it reads".to_string());
    author.push(write_of(who, vec![("user_message".to_string(), text)]));
    for _ in 0..3 {
        let action = author.draw.pick(&["EchoMessage", "Provision", "EchoToken"]);
        let step = author.push(act(who, action));
        author.faults.push(faults::over_time(&mut author.draw, step));
        author.push(Action::Get { who });
    }
}

/// A guest that a later boot runs reads a value around its deadline (I4, I10): by the clock of that boot.
fn guest_at_a_deadline(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    if author.draw.percent(40) {
        return param_at_a_deadline(author, who, body);
    }
    let write = match author.draw.below(2) {
        0 => expiring(who, body),
        _ => Action::Patch { who, values: vec![(EXPIRING.to_string(), body)] },
    };
    author.push(write);
    let ahead_ms = author.draw.pick(&[1, 1_000]);
    author.clock_to(author.clock_ms() + TTL_MS - ahead_ms);
    let step = author.push(act(who, "EchoPrompt"));
    author.faults.push(faults::killed_before_the_guest(step));
    let boot = author.boot() + 1;
    let late_ms = author.draw.pick(&[ahead_ms - 1, ahead_ms, ahead_ms + 1, 2_000]);
    author.faults.push(faults::slow_recovery(boot, late_ms));
    author.push(Action::Get { who });
    author.push(Action::Get { who });
}

/// The same of a param of the very action that its guest runs for.
fn param_at_a_deadline(author: &mut Author, who: Who, body: Recipe) {
    let values = vec![(EXPIRING.to_string(), body)];
    let step = author.push(Action::Act { who, action: "EchoPrompt".to_string(), values });
    author.faults.push(faults::killed_before_the_guest(step));
    let boot = author.boot() + 1;
    let late_ms = TTL_MS + author.draw.pick(&[-1, 0, 1, 1_000]);
    author.faults.push(faults::slow_recovery(boot, late_ms));
    author.push(Action::Get { who });
    author.push(Action::Get { who });
}

/// More rows come due at once than are acted upon at the same time, found by the boot that runs or by the next
/// one (I15): each has its turn.
fn rows_without_a_place(author: &mut Author) {
    let who = author.someone();
    for _ in 0..17 + author.draw.below(4) {
        author.push(act(who, "Remind"));
    }
    if author.draw.percent(70) {
        end_boot(author);
        author.push(Action::Get { who });
    }
    author.push(Action::Wait { ms: 31_000 });
    author.push(Action::Get { who });
}

/// Commits of which nobody knows whether they are there, and whose settling fails as well (section 4, I11): what
/// is shown afterwards is what a restart would find.
fn unsettled_commits(author: &mut Author) {
    let who = author.someone();
    for _ in 0..3 {
        let write = author.write(who);
        let step = author.push(write);
        author
            .faults
            .push(faults::failing_commits(&mut author.draw, format!("step {step}/append")));
        for _ in 0..2 {
            author.push(Action::Get { who });
        }
    }
    end_boot(author);
    author.push(Action::Get { who });
}

/// What is owed fails for some time, however often it is tried (I15): once it does not, it is done within a minute.
fn owed_in_doubt(author: &mut Author) {
    let who = author.someone();
    let action = author.draw.pick(&["EchoMessage", "Provision", "Delegate"]);
    let step = author.push(act(who, action));
    if author.draw.percent(30) {
        author.faults.push(faults::killed_before_the_guest(step));
        let boot = author.boot() + 1;
        author.faults.push(faults::unread_outbox(boot));
        author.push(Action::Get { who });
    } else {
        let scope = format!("step {step}/outbox/append");
        author.faults.push(faults::failing_commits(&mut author.draw, scope));
    }
    // 115 s: pauses that doubled without bound would have just begun the one of 102 s.
    let ms = author.draw.pick(&[10_000, 115_000]);
    author.push(Action::Wait { ms });
    author.push(Action::Get { who });
}

/// A parent is deleted while its child is made (I15): what was owed is closed with it, and no child comes of it.
fn parents_that_go(author: &mut Author) {
    let tenant = author.someone().tenant;
    let first = author.cast.entities + 20;
    for entity in first..first + 3 {
        let who = Who { tenant, entity, set: 0 };
        let create = author.create(who);
        author.push(create);
        author.push(act(who, "Delegate"));
        for _ in 0..author.draw.below(2) {
            author.push(Action::Get { who });
            author.last().together = true;
        }
        author.push(Action::Delete { who });
        author.last().together = true;
    }
    author.push(Action::Wait { ms: 1_000 });
}
