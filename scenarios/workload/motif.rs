//! Short sequences of steps that belong together: what a random walk would seldom weave. Those of values
//! that expire are in `expiry`, those that leave something to be done later in `later`.
//!
//! **Invariant:** a motif is legal for a correct platform, whatever came before it. Each names the promise
//! that it leans on.

use super::author::{Author, TTL_MS, expiring, write_of};
use super::faults;
use crate::change::Change;
use crate::plan::{Action, Mode, Part, Who};
use crate::recipe::{Alphabet, Recipe};
use stormglass_sim::{Ending, Survivors};

/// A sequence of steps.
pub type Motif = fn(&mut Author);

/// An event whose put fails is covered by a snapshot, and the process dies before the put is tried
/// again (I5): the replay finds the missing blob although no event of it is read.
pub fn covered_loss(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    let list = Recipe::List { items: 1, json_bytes: 700, content: author.draw.below(3) };
    let step = if author.draw.percent(50) {
        author.push(write_of(who, vec![("user_message".to_string(), body)]))
    } else {
        // A list of two overflows, and no event alone holds its body.
        let note = Action::Act {
            who,
            action: "Note".to_string(),
            values: vec![("notes".to_string(), list)],
        };
        author.push(note.clone());
        author.push(note)
    };
    author.faults.push(faults::failing_put(step));
    author.faults.push(faults::crash_at_the_next_put());
    author.push(Action::Get { who });
}

/// A guard looks at a list that overflows (I18): it sees the list, not what stands for it.
pub fn guarded_by_a_large_list(author: &mut Author) {
    let who = author.someone();
    let act = |action: &str, name: &str, value| {
        let values = vec![(name.to_string(), value)];
        Action::Act { who, action: action.to_string(), values }
    };
    let is_set = author.draw.percent(40);
    let (add, name) = if is_set { ("Tag", "tags") } else { ("Note", "notes") };
    for content in 0..2 {
        let (json_bytes, alphabet) = (600, Alphabet::Plain);
        author.push(act(add, name, Recipe::Text { json_bytes, content, alphabet }));
    }
    if is_set {
        author.push(act("Tag", "tags", Recipe::Words("approved".to_string())));
    }
    if author.draw.percent(30) {
        end_boot(author);
    }
    author.push(if is_set {
        Action::Act { who, action: "Approve".to_string(), values: Vec::new() }
    } else {
        act("Unnote", "notes_index", Recipe::Number(0))
    });
}

/// A keyed request whose outcome its client does not know is sent again (I3): once or not at all.
pub fn repeat_in_doubt(author: &mut Author) {
    let who = author.someone();
    let (body, key) = (author.overflowing(), author.fresh_key());
    let field = author.draw.pick(&["user_message", "system_prompt"]);
    let write = write_of(who, vec![(field.to_string(), body)]);
    let step = author.push_keyed(write.clone(), key);
    let fault = match author.draw.below(3) {
        0 => faults::between_event_and_blobs(&mut author.draw, step),
        1 => faults::failed_commit(&mut author.draw, step),
        _ => faults::crash_in(&mut author.draw, step),
    };
    author.faults.push(fault);
    for _ in 0..1 + author.draw.below(2) {
        author.push_keyed(write.clone(), key);
    }
}

/// What a restart found in the log and showed is there for ever (I2): the first process dies before its
/// commit is synced, the second one shows it, and the power goes.
pub fn seen_then_lost(author: &mut Author) {
    let who = author.someone();
    let small = Recipe::Number(i64::from(author.draw.below(1_000)));
    let step = author.push(write_of(who, vec![("user_message".to_string(), small)]));
    author.faults.push(faults::killed_before_the_commit_is_synced(step));
    author.push(Action::Get { who });
    author.push(Action::Crash { ending: Ending::PowerLoss(Survivors::None) });
    author.push(Action::Get { who });
}

/// Many keys of one entity, and the first of them again (I3): a key lives as long as its journal.
pub fn old_key(author: &mut Author) {
    let who = author.someone();
    let mut first = None;
    for _ in 0..6 + author.draw.below(4) {
        let (write, key) = (author.write(who), author.fresh_key());
        author.push_keyed(write.clone(), key);
        first.get_or_insert((write, key));
    }
    if author.draw.percent(50) {
        end_boot(author);
    }
    let (write, key) = first.expect("there were at least six");
    author.push_keyed(write, key);
}

/// Actors go when they are idle and come back from their snapshots (I11, I20).
pub fn passivation(author: &mut Author) {
    let who = author.someone();
    for _ in 0..2 {
        let write = author.legal(who);
        author.push(write);
        let ms = author.cast.idle_ms as i64 + 1;
        author.push(Action::Wait { ms });
    }
    if author.draw.percent(50) {
        end_boot(author);
    }
    let write = author.write(who);
    author.push(write);
    if author.draw.percent(50) {
        author.push(Action::Restart);
    }
    author.push(Action::Get { who });
}

/// Requests to one entity that are all under way at once (I2, I18).
pub fn crowd(author: &mut Author) {
    let who = author.someone();
    for at in 0..2 + author.draw.below(3) {
        let action = match author.draw.below(6) {
            0 => Action::Get { who },
            1 => Action::Sweep { tenant: who.tenant, max_rows: 1_000 },
            2 => author.legal(who),
            _ => author.write(who),
        };
        author.push(action);
        author.last().together = at > 0;
    }
    author.push(Action::Get { who });
}

/// Requests that are under way when a timer comes due (I9, I11, I20): the first sweep of a boot, or the
/// end of an actor's idle time. It takes a plan in which time overtakes.
pub fn meets_a_timer(author: &mut Author) {
    let who = author.someone();
    if author.draw.percent(50) {
        let body = author.overflowing();
        author.push(expiring(who, body));
        author.clock_to(author.clock_ms() + TTL_MS);
        author.push(Action::Restart);
        author.push(Action::Get { who });
        author.push(Action::Wait { ms: 59_500 });
    } else {
        author.push(Action::Get { who });
        let ms = i64::min(author.cast.idle_ms as i64 - 1, 300_000);
        author.push(Action::Wait { ms });
    }
    crowd(author);
}

/// Pages of a list of four (I18): what a filter refuses is not counted among those that are skipped.
pub fn pages(author: &mut Author) {
    let first = author.cast.entities + 10;
    let tenant = author.someone().tenant;
    for entity in first..first + 4 {
        let who = Who { tenant, entity, set: 0 };
        let create = author.create(who);
        author.push(create);
        if entity % 2 == 1 {
            let (action, values) = ("Configure".to_string(), Vec::new());
            author.push(Action::Act { who, action, values });
        }
    }
    for _ in 0..2 {
        let status = author.draw.pick(&[None, Some("Created"), Some("Configured")]);
        let word = |status: &str| ("Status".to_string(), Recipe::Words(status.to_string()));
        let (skip, select) = (1 + author.draw.below(2), None);
        let part = Part { skip, filter: status.map(word), select };
        let top = author.draw.pick(&[None, Some(1), Some(2)]);
        author.push(Action::List { tenant, set: 0, top, part });
    }
}

/// A page of a list while one of its entities is deleted (I18): the page is as long as it can be.
pub fn list_in_motion(author: &mut Author) {
    let who = author.someone();
    let Who { tenant, set, .. } = who;
    let part = Part::default;
    let list = |top| Action::List { tenant, set, top: Some(top), part: part() };
    let top = 1 + author.draw.below(2);
    author.push(list(top));
    author.push(Action::Delete { who });
    author.last().together = true;
    author.push(list(top));
}

/// A tenant that nobody has written to is asked for (I13): it has nothing, and asking makes nothing.
pub fn unknown_tenant(author: &mut Author) {
    let tenant = author.cast.tenants + 7;
    let who = Who { tenant, ..author.someone() };
    let action = match author.draw.below(6) {
        0 => Action::Get { who },
        1 => Action::History { who, page: None },
        2 => Action::List { tenant, set: 0, top: None, part: Part::default() },
        3 => Action::Sweep { tenant, max_rows: 10 },
        4 => author.patch(who),
        _ => author.write(who),
    };
    author.push(action);
}

/// A ceiling, a time to live or a mode that the next boot has and the last one had not (I19, I10): what
/// was written stays as it was kept, what is written is kept anew, and replays ask no spec (I11).
pub fn reconfigured(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    let field = author.draw.pick(&["user_message", "system_prompt", "draft"]);
    let write = write_of(who, vec![(field.to_string(), body)]);
    author.push(write.clone());
    let (set, field) = (0, field.to_string());
    let change = match author.draw.below(5) {
        0 | 1 => {
            let bytes = author.draw.pick(&[None, Some(0), Some(512), Some(1_099), Some(2_000)]);
            Change::Ceiling { set, field, bytes }
        }
        2 | 3 => {
            let seconds = author.draw.pick(&[None, Some(1), Some(60), Some(7_200)]);
            Change::Ttl { set, field, seconds }
        }
        _ => {
            let mode = author.draw.pick(&[Mode::BlobRefs, Mode::InlineTruncate]);
            let inline_max_bytes =
                author.draw.pick(&[None, None, Some(0), Some(1_024), Some(2_000)]);
            Change::Mode { tenant: who.tenant, mode, inline_max_bytes }
        }
    };
    author.push(Action::Reconfigure { change });
    end_boot(author);
    if author.draw.percent(50) {
        author.push(Action::Get { who });
    }
    let step = author.push(write);
    if author.draw.percent(40) {
        author.faults.push(faults::between_event_and_blobs(&mut author.draw, step));
    }
    author.push(Action::Get { who });
}

/// Ends the boot between two steps.
pub fn end_boot(author: &mut Author) {
    let ending = author.draw.of(&faults::ending());
    let action = match author.draw.below(4) {
        0 => Action::Restart,
        1 => Action::Crash { ending: Ending::PowerLoss(Survivors::None) },
        _ => Action::Crash { ending },
    };
    author.push(action);
}
