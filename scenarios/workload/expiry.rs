//! Motifs of values that expire: bodies that share a row, deadlines, sweeps and replays around them.
//!
//! **Invariant:** as of every motif: legal for a correct platform, whatever came before it.

use super::author::{AROUND_MS, Author, TTL_MS, expiring, write_of};
use super::faults;
use super::motif::end_boot;
use crate::plan::{Action, Part, Who};
use crate::recipe::Recipe;

/// The same body again before, at and after its row's deadline, swept or not (I8, I12): the row is
/// extended, renewed or made again.
pub fn again(author: &mut Author) {
    let (first, second, body) = two_and_a_body(author);
    author.push(expiring(first, body.clone()));
    let deadline_ms = author.clock_ms() + TTL_MS;
    if author.draw.percent(40) {
        let wait_ms = author.draw.pick(&[1, 1_000, 1_800_000]);
        author.push(Action::Wait { ms: wait_ms });
    } else {
        let around_ms = author.draw.pick(&AROUND_MS);
        author.clock_to(deadline_ms + around_ms);
        if author.draw.percent(30) {
            sweep(author, first);
        }
    }
    let step = author.push(expiring(second, body));
    if author.draw.percent(35) {
        author.faults.push(faults::between_event_and_blobs(&mut author.draw, step));
    }
    author.push(Action::Get { who: second });
}

/// A body that already has a row is written with a later deadline, and the process dies between the
/// event and its put: the replay must raise the row's deadline, or a sweep takes it too early (I5).
pub fn lost_renewal(author: &mut Author) {
    let (first, second, body) = two_and_a_body(author);
    author.push(expiring(first, body.clone()));
    let deadline_ms = author.clock_ms() + TTL_MS;
    let wait_ms = author.draw.pick(&[2_000, 600_000, 3_000_000]);
    author.push(Action::Wait { ms: wait_ms });
    let step = author.push(expiring(second, body));
    author.faults.push(faults::between_event_and_blobs(&mut author.draw, step));
    author.push(Action::Get { who: second });
    author.clock_to(deadline_ms + 1);
    sweep(author, first);
    author.push(Action::Get { who: second });
    author.push(Action::Get { who: first });
}

/// One body under two fields, one of which expires (I7, I8): permanent wins, in either order.
pub fn shared_body(author: &mut Author) {
    let (first, second, body) = two_and_a_body(author);
    let permanent = |who| write_of(who, vec![("user_message".to_string(), body.clone())]);
    let mut writes = [expiring(first, body.clone()), permanent(second)];
    if author.draw.percent(50) {
        writes.reverse();
    }
    let [one, other] = writes;
    author.push(one);
    let step = author.push(other);
    if author.draw.percent(40) {
        author.faults.push(faults::between_event_and_blobs(&mut author.draw, step));
    }
    author.to_deadline();
    sweep(author, first);
    author.push(Action::Get { who: first });
    author.push(Action::Get { who: second });
}

/// Time passes between an event and its replay (I12): deadlines come from the event.
pub fn late_replay(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    let step = author.push(expiring(who, body));
    if author.draw.percent(50) {
        author.faults.push(faults::between_event_and_blobs(&mut author.draw, step));
    }
    let wait_ms = author.draw.pick(&[1, 1_000, 1_000_000, TTL_MS - 1]);
    author.push(Action::Wait { ms: wait_ms });
    end_boot(author);
    author.push(Action::Get { who });
}

/// A replay after a deadline, before or after the sweep (I12): what has expired stays away.
pub fn late_for_good(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    let around_ms = author.draw.pick(&AROUND_MS);
    author.clock_to(author.clock_ms() + TTL_MS + around_ms);
    if author.draw.percent(70) {
        sweep(author, who);
    }
    end_boot(author);
    author.push(Action::Get { who });
    if author.draw.percent(40) {
        // Of what is expired only what was asked for is named.
        let select = Some(vec!["turns".to_string()]);
        let part = Part { select, ..Part::default() };
        author.push(Action::List { tenant: who.tenant, set: 0, top: None, part });
    }
    author.push(Action::History { who, page: None });
}

/// A row is swept, the clock is set back, and a snapshot covers the event (I5, I10): the body is put
/// back from the journal.
pub fn clock_back(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    author.clock_to(author.clock_ms() + TTL_MS + 1);
    sweep(author, who);
    if author.draw.percent(60) {
        author.push(Action::Restart);
    }
    let back_ms = author.draw.pick(&[2, 1_001, 600_000]);
    author.push(Action::StepClock { by_ms: -back_ms });
    author.push(Action::Get { who });
}

/// Several bodies that expire one after another, and sweeps around their deadlines that may take few
/// (I8, I20).
pub fn sweeps(author: &mut Author) {
    let mut whos = Vec::new();
    let first_ms = author.clock_ms() + TTL_MS;
    for _ in 0..2 + author.draw.below(2) {
        let who = author.someone();
        let body = author.overflowing();
        author.push(expiring(who, body));
        whos.push(who);
        let wait_ms = author.draw.pick(&[1, 500, 2_000]);
        author.push(Action::Wait { ms: wait_ms });
    }
    let around_ms = author.draw.pick(&AROUND_MS);
    author.clock_to(first_ms + around_ms);
    sweep(author, whos[0]);
    if author.draw.percent(60) {
        let around_ms = author.draw.pick(&AROUND_MS);
        author.clock_to(first_ms + 10_000 + around_ms);
        sweep(author, whos[0]);
    }
    for who in whos {
        author.push(Action::Get { who });
    }
}

/// The background sweeper meets an error while a row is due (I9): the next tick takes it, and that tick those of
/// other tenants.
pub fn sweeper_error(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body.clone()));
    let other = author.foreign_to(who);
    author.push(expiring(other, body));
    let boot = author.boot();
    author.faults.push(faults::failing_sweep(&mut author.draw, boot));
    let wait_ms = TTL_MS + author.draw.pick(&[600_000, 1_300_000, 25_000_000, 25_000_000]);
    author.push(Action::Wait { ms: wait_ms });
    // A row that one tick has left shows between an interval after its deadline and the next tick.
    for _ in 0..3 {
        author.push(Action::Get { who });
        author.push(Action::Wait { ms: 170_000 });
    }
    author.push(Action::Get { who });
}

/// A deleted entity refers to nothing (I12): its bodies stay away once they are swept, whatever the clock
/// reads then.
pub fn deleted_for_good(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    author.push(Action::Delete { who });
    author.clock_to(author.clock_ms() + TTL_MS + 1);
    sweep(author, who);
    let back_ms = author.draw.pick(&[2, 600_000]);
    author.push(Action::StepClock { by_ms: -back_ms });
    end_boot(author);
    author.push(Action::History { who, page: None });
}

/// One body in two tenants, with deadlines of their own (I13): neither renews, keeps or sweeps the other's.
pub fn same_body_elsewhere(author: &mut Author) {
    let first = author.someone();
    let elsewhere = author.elsewhere(first);
    let body = author.overflowing();
    author.push(expiring(first, body.clone()));
    let deadline_ms = author.clock_ms() + TTL_MS;
    let wait_ms = author.draw.pick(&[1, 1_000, 1_800_000]);
    author.push(Action::Wait { ms: wait_ms });
    let again = if author.draw.percent(70) {
        expiring(elsewhere, body)
    } else {
        write_of(elsewhere, vec![("user_message".to_string(), body)])
    };
    let step = author.push(again);
    if author.draw.percent(30) {
        author.faults.push(faults::between_event_and_blobs(&mut author.draw, step));
    }
    author.push(Action::Get { who: elsewhere });
    author.clock_to(deadline_ms);
    sweep(author, first);
    author.push(Action::Get { who: elsewhere });
    author.push(Action::Get { who: first });
}

/// The background sweeper meets an error in one tenant while rows of two are due (I9): the other's go in
/// the same tick.
pub fn one_sweeper_error(author: &mut Author) {
    let first = author.someone();
    let elsewhere = author.elsewhere(first);
    for who in [first, elsewhere] {
        let body = author.overflowing();
        author.push(expiring(who, body));
    }
    let boot = author.boot();
    author.faults.push(faults::failing_sweep(&mut author.draw, boot));
    author.push(Action::Wait { ms: TTL_MS + 700_000 });
}

/// Values that expire while days go by, and others that come in between (I8, I9, I12).
pub fn days(author: &mut Author) {
    for _ in 0..2 + author.draw.below(3) {
        let who = author.someone();
        let body = author.overflowing();
        let field = author.draw.pick(&["system_prompt", "draft", "user_message"]);
        author.push(write_of(who, vec![(field.to_string(), body)]));
    }
    let hours = author.draw.pick(&[1, 6, 24, 72]);
    let around_ms = author.draw.pick(&AROUND_MS);
    author.push(Action::Wait { ms: hours * 3_600_000 + around_ms });
    let who = author.someone();
    author.push(Action::Get { who });
}

fn two_and_a_body(author: &mut Author) -> (Who, Who, Recipe) {
    let first = author.someone();
    let second = author.other_than(first);
    let body = author.overflowing();
    (first, second, body)
}

fn sweep(author: &mut Author, of: Who) {
    let max_rows = author.draw.pick(&[1, 2, 1_000, 1_000]);
    author.push(Action::Sweep { tenant: of.tenant, max_rows });
}
