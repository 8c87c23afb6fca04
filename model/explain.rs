//! Why no possible past agrees with an answer: which invariant that breaks.
//!
//! The search only says that nothing fits. A report needs the reason: an event that is missing (I1
//! when it was acknowledged, I2 when it had only been seen), one that nobody asked for (I2), a key
//! applied twice (I3), a wrong value (I4, I10) or a wrong decision (I18).

use crate::decide::{Decision, NOT_FOUND};
use crate::fit::not_allowed;
use crate::request::Answer;
use crate::violation::{Invariant, Mismatch};
use crate::world::{Op, Search, World};

/// The reason why `answer` to `op` fits no past, told from one of them.
pub fn explain(world: &World, op: &Op, answer: &Answer, search: &mut Search<'_>) -> Mismatch {
    let sent_version = world.waiting.get(&op.id).or(world.placed.get(&op.id)).copied().unwrap_or(0);
    let decision = world.decide_at(world.version(), op, op.stamp(search.clock, search.now));
    if let Answer::Error { status, code } = answer {
        let denies = NOT_FOUND.admits(*status, code);
        let is_there = !matches!(decision, Decision::Reject(_)) && world.version() > 0;
        if denies && is_there {
            return lost_event(world, 1, "entity not shown", answer);
        }
    }
    let Some(shown) = answer.shown_version() else {
        return nearest(search, answer);
    };
    let is_new = matches!(decision, Decision::Accept { .. });
    // An accepted action makes an event of its own, so its answer stands above what was there.
    let least = if is_new { sent_version + 1 } else { sent_version };
    if shown < least {
        return lost_event(world, shown + u64::from(!is_new), "event not shown", answer);
    }
    let named = search.nearest.take_if(|(rank, _)| *rank >= 1 << 32);
    if let Some((_, mismatch)) = named {
        return mismatch;
    }
    if shown > world.version() && matches!(decision, Decision::Repeat) {
        let place = "key applied again";
        return Mismatch::new(Invariant::I3, place, "200 with the present state", answer.brief());
    }
    if let Decision::Reject(_) = decision
        && op.request.is_write()
    {
        return nearest(search, answer);
    }
    if shown > world.version() {
        let expected = format!("at most event {}", world.version() + u64::from(is_new));
        return Mismatch::new(Invariant::I2, "event of no request", expected, answer.brief());
    }
    nearest(search, answer)
}

fn nearest(search: &mut Search<'_>, answer: &Answer) -> Mismatch {
    match search.nearest.take() {
        Some((_, mismatch)) => mismatch,
        None => not_allowed("another answer", answer),
    }
}

/// Events from `first` on that the answer does not know.
fn lost_event(world: &World, first: u64, place: &'static str, answer: &Answer) -> Mismatch {
    let acked = world.acks.range(first..).next().map(|(sequence_nr, _)| *sequence_nr);
    let (invariant, sequence_nr) = match acked {
        Some(sequence_nr) => (Invariant::I1, sequence_nr),
        None => (Invariant::I2, first),
    };
    let action = world.event(sequence_nr).map_or("", |event| event.action.as_str());
    let how = if acked.is_some() { "acknowledged" } else { "seen" };
    Mismatch::new(invariant, place, format!("event {sequence_nr} or later"), answer.brief())
        .because(format!("event {sequence_nr} ({action}) was {how}"))
}
