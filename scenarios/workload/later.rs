//! Steps that leave something to be done later: guests, schedules, spawns, and requests to what spawns
//! make; and the motifs that interrupt them.
//!
//! **Invariant:** as of every motif: legal for a correct platform, whatever came before it.

use super::author::{AROUND_MS, Author, EXPIRING, TTL_MS, expiring, write_of};
use super::faults;
use super::motif::end_boot;
use super::values;
use crate::plan::{Action, Part, Values, Who, entity_id};
use crate::recipe::{Alphabet, Recipe};
use crate::times::rfc3339;
use stormglass_sim::clock::DEFAULT_START_UTC_MS;

/// The number of the set that sessions spawn.
pub const TASKS: u32 = 1;
/// How long `Remind` waits, in milliseconds.
const REMIND_MS: i64 = 30_000;
/// What the hostile guest can be told to do.
const MODES: [&str; 23] = [
    "trap",
    "loop",
    "memory",
    "recurse",
    "pointers",
    "negative",
    "short",
    "exact",
    "not_json",
    "not_object",
    "no_success",
    "params_list",
    "action_number",
    "duplicate_keys",
    "large",
    "reserved",
    "reserved_deep",
    "unknown_action",
    "named_action",
    "silent",
    "fails",
    "returns_nonzero",
    "twice",
];
const ECHOES: [(&str, &str); 4] = [
    ("EchoMessage", "user_message"),
    ("EchoPrompt", EXPIRING),
    ("EchoNotes", "notes"),
    ("EchoToken", "token"),
];

fn act(who: Who, action: &str, values: Values) -> Action {
    Action::Act { who, action: action.to_string(), values }
}

fn words(name: &str, words: impl Into<String>) -> Values {
    vec![(name.to_string(), Recipe::Words(words.into()))]
}

/// The task of the same number, in the same tenant.
fn namesake(who: Who) -> Who {
    Who { set: TASKS, ..who }
}

/// Whether an action leaves something to be done later.
pub fn leaves_intents(action: &Action) -> bool {
    let Action::Act { who, action, .. } = action else { return false };
    let is_of_guests = action == "Provision" || action == "Missed" || action == "Picky";
    let is_hostile = action == "Torment" || action == "Whisper";
    let later = ["Fuss", "Remind", "RemindAt", "Delegate", "DelegateTo", "Entrust"];
    let is_later = later.contains(&action.as_str());
    let is_echo = ECHOES.iter().any(|(echo, _)| echo == action);
    if who.set == TASKS {
        return action == "Nag";
    }
    is_of_guests || is_hostile || is_later || is_echo
}

impl Author {
    /// An action that runs a guest, at times one that writes what the guest reads.
    pub fn guest(&mut self, who: Who) -> Action {
        match self.draw.below(10) {
            0 | 1 => {
                let values = self.some_of(&["user_message"]);
                act(who, "Provision", values)
            }
            2..6 => {
                let (action, field) = self.draw.pick(&ECHOES);
                let writes = field != "notes" && self.draw.percent(50);
                let values = if writes { self.some_of(&[field]) } else { Values::new() };
                act(who, action, values)
            }
            6 | 7 => {
                let (action, mode) =
                    (self.draw.pick(&["Torment", "Whisper"]), self.draw.pick(&MODES));
                act(who, action, words("mode", mode))
            }
            8 => act(who, "Missed", Values::new()),
            _ => {
                let values = self.some_of(&["user_message"]);
                act(who, "Picky", values)
            }
        }
    }

    /// A schedule or a spawn.
    pub fn later(&mut self, who: Who) -> Action {
        match self.draw.below(6) {
            0 => {
                let action = self.draw.pick(&["Remind", "Fuss"]);
                act(who, action, Values::new())
            }
            1 | 2 => self.remind_at(who),
            3 | 4 => self.delegate(who),
            _ => {
                let entity = self.draw.below(self.cast.entities + 1);
                let name = match self.draw.below(8) {
                    0 => String::new(),
                    1 => "no\u{7}id".to_string(),
                    _ => entity_id(Who { entity, ..who }),
                };
                let action = self.draw.pick(&["DelegateTo", "Entrust"]);
                act(who, action, words("task_name", name))
            }
        }
    }

    fn remind_at(&mut self, who: Who) -> Action {
        if self.draw.percent(12) {
            let odd = self.draw.pick(&["soon", "", "2026-13-01T00:00:00Z", "2026-01-01"]);
            return act(who, "RemindAt", words("alarm", odd));
        }
        let after_ms = self.draw.pick(&[-5_000, -1, 0, 1, 1_000, 45_000, 90_000, 4_000_000]);
        let at_ms = DEFAULT_START_UTC_MS + self.clock_ms() + after_ms;
        let zone_minutes = self.draw.pick(&[0, 0, 90, -300]);
        act(who, "RemindAt", words("alarm", rfc3339(at_ms, zone_minutes)))
    }

    fn delegate(&mut self, who: Who) -> Action {
        let values = self.some_of(&["user_message", EXPIRING]);
        act(who, "Delegate", values)
    }

    /// A request to a task, whether anybody has made it or not.
    pub fn task(&mut self, who: Who) -> Action {
        let who = namesake(who);
        match self.draw.below(10) {
            9 => act(who, "Nag", Values::new()),
            0 | 1 => self.create(who),
            2 => act(who, "Begin", Values::new()),
            3 => act(who, "Close", Values::new()),
            4 => self.patch(who),
            5 => Action::Delete { who },
            6 => Action::History { who, page: None },
            7 => write_of(who, self.some_of(&["user_message", EXPIRING])),
            _ => Action::Get { who },
        }
    }
}

/// A guest's run is interrupted between its event and its callback, or between the callback and the end of
/// it (I15): once, or with a reason.
pub fn interrupted(author: &mut Author) {
    let who = author.someone();
    if author.draw.percent(50) {
        // What overflows is read from its row before a guest runs, which takes time, too.
        let body = author.overflowing();
        author.push(write_of(who, vec![("user_message".to_string(), body)]));
    }
    let action = if author.draw.percent(70) { author.guest(who) } else { author.later(who) };
    let step = author.push(action);
    let fault = match author.draw.below(4) {
        0 => faults::failed_outbox(&mut author.draw, step),
        1 => faults::slow_outbox(&mut author.draw, step),
        _ => faults::crash_in_outbox(&mut author.draw, step),
    };
    author.faults.push(fault);
    if author.draw.percent(40) {
        let boot = author.boot() + 1;
        let fault = match author.draw.below(2) {
            0 => faults::slow_rest(&mut author.draw, boot),
            _ => faults::crash_in_rest(&mut author.draw, boot),
        };
        author.faults.push(fault);
    }
    author.push(Action::Get { who });
    if author.draw.percent(50) {
        author.push(Action::Wait { ms: 61_000 });
    }
}

/// A guest reads an expiring value around its deadline, and at times once more after it (I4, I10).
pub fn late_reading(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    let around_ms = author.draw.pick(&AROUND_MS);
    author.clock_to(author.clock_ms() + TTL_MS + around_ms);
    let step = author.push(act(who, "EchoPrompt", Values::new()));
    if author.draw.percent(50) {
        author.faults.push(faults::crash_in_outbox(&mut author.draw, step));
    }
    if author.draw.percent(50) {
        let delegate = act(who, "Delegate", Values::new());
        author.push(delegate);
    }
    author.push(Action::Wait { ms: 1 });
    author.push(Action::Get { who });
}

/// A guest's buffers around the size of what it reads, and one value read twice (I4).
pub fn sizes(author: &mut Author) {
    let who = author.someone();
    let json_bytes = author.draw.pick(&[2, 3, 34, 66, 130, 258, 1_024, 1_025, 1_026, 4_098]);
    let content = author.draw.below(author.cast.taste.contents);
    let alphabet = author.draw.pick(&[Alphabet::Plain, Alphabet::Escaped, Alphabet::Wide]);
    let text = Recipe::Text { json_bytes, content, alphabet };
    author.push(write_of(who, vec![("user_message".to_string(), text)]));
    for _ in 0..2 {
        let mode = author.draw.pick(&["exact", "short"]);
        let action = match author.draw.below(3) {
            0 => act(who, "Torment", words("mode", mode)),
            1 => act(who, "Provision", Values::new()),
            _ => act(who, "EchoMessage", Values::new()),
        };
        author.push(action);
    }
    author.push(Action::Get { who });
}

/// A child begins with copies of values that overflow, whatever happens meanwhile (I4, I15).
pub fn delegation(author: &mut Author) {
    let who = author.someone();
    let (one, other) = (author.overflowing(), author.overflowing());
    let texts = vec![("user_message".to_string(), one), (EXPIRING.to_string(), other)];
    author.push(write_of(who, texts));
    if author.draw.percent(40) {
        let list = author.draw.of(&values::value(author.cast.taste));
        author.push(act(who, "Note", vec![("notes".to_string(), list)]));
    }
    if author.draw.percent(30) {
        end_boot(author);
    }
    let name = entity_id(Who { entity: author.draw.below(author.cast.entities), ..who });
    let action = match author.draw.below(3) {
        0 => act(who, "DelegateTo", words("task_name", name)),
        _ => act(who, "Delegate", Values::new()),
    };
    let step = author.push(action);
    if author.draw.percent(60) {
        author.faults.push(faults::crash_in_outbox(&mut author.draw, step));
    }
    author.push(Action::Get { who });
    end_boot(author);
    author.push(Action::Get { who });
}

/// A schedule's time comes by a wait, by a step of the clock, or while no server runs (I15).
pub fn overdue(author: &mut Author) {
    let who = author.someone();
    author.push(act(who, "Remind", Values::new()));
    let around_ms = author.draw.pick(&AROUND_MS);
    if author.draw.percent(50) {
        author.push(Action::StepClock { by_ms: REMIND_MS + around_ms });
    } else {
        author.push(Action::Wait { ms: REMIND_MS + around_ms });
    }
    author.push(Action::Get { who });
    if author.draw.percent(60) {
        end_boot(author);
    }
    let ms = author.draw.pick(&[1, 1_001, 60_000]);
    author.push(Action::Wait { ms });
    author.push(Action::Get { who });
}

/// The next boot cannot read what the last one left (I15): it reads it later.
pub fn unread(author: &mut Author) {
    let who = author.someone();
    author.push(act(who, "Remind", Values::new()));
    let boot = author.boot() + 1;
    author.faults.push(faults::unopened(&mut author.draw, boot));
    end_boot(author);
    author.push(Action::Wait { ms: REMIND_MS + 31_000 });
    author.push(Action::Get { who });
}

/// A time that is far ahead comes at once, because the clock is set (I15: within a minute).
pub fn set_ahead(author: &mut Author) {
    const AHEAD_MS: i64 = 7_200_000;
    let who = author.someone();
    let at_ms = DEFAULT_START_UTC_MS + author.clock_ms() + AHEAD_MS;
    author.push(act(who, "RemindAt", words("alarm", rfc3339(at_ms, 0))));
    author.push(Action::StepClock { by_ms: AHEAD_MS + 1_000 });
    author.push(Action::Wait { ms: 60_001 });
    author.push(Action::Get { who });
}

/// A session and a task of one id are owed the same event's number each (I15): what becomes of one leaves the
/// other alone.
pub fn owed_namesakes(author: &mut Author) {
    let entity = author.cast.entities + 1;
    let session = Who { entity, ..author.someone() };
    let task = namesake(session);
    for who in [session, task] {
        let create = author.create(who);
        author.push(create);
    }
    author.push(act(session, "Remind", Values::new()));
    author.push(act(task, "Nag", Values::new()));
    match author.draw.below(3) {
        0 => drop(author.push(Action::Delete { who: session })),
        1 => drop(author.push(Action::Delete { who: task })),
        _ => end_boot(author),
    }
    for set in [0, TASKS] {
        let (tenant, part) = (session.tenant, Part::default());
        author.push(Action::List { tenant, set, top: None, part });
    }
    author.push(Action::Wait { ms: REMIND_MS });
    author.push(Action::Get { who: task });
    author.push(Action::Get { who: session });
}

/// A guest's run is interrupted, and its value expires before the next boot comes to it (I4, I10): expiry is
/// judged when the run begins, not at the event.
pub fn expired_meanwhile(author: &mut Author) {
    let who = author.someone();
    let body = author.overflowing();
    author.push(expiring(who, body));
    author.clock_to(author.clock_ms() + TTL_MS - 1_000);
    let step = author.push(act(who, "EchoPrompt", Values::new()));
    author.faults.push(faults::killed_before_the_guest(step));
    let boot = author.boot() + 1;
    author.faults.push(faults::slow_recovery(boot, 2_000));
    author.push(Action::Get { who });
}

/// An entity is deleted while something is still to be done for it (section 4: its rows are closed).
pub fn deleted_while_owed(author: &mut Author) {
    let who = author.someone();
    let action = match author.draw.below(3) {
        0 => author.guest(who),
        1 => act(who, "Remind", Values::new()),
        _ => author.later(who),
    };
    author.push(action);
    author.push(Action::Delete { who });
    author.last().together = author.draw.percent(60);
    author.push(Action::Wait { ms: REMIND_MS + 1 });
    author.push(Action::History { who, page: None });
}

/// A spawn and a client create the same entity (I15: the child exists, or the client is told so).
pub fn namesakes(author: &mut Author) {
    let who = author.someone();
    let child = namesake(author.someone());
    let child = Who { tenant: who.tenant, ..child };
    let spawn = author.draw.pick(&["DelegateTo", "Entrust"]);
    let spawn = act(who, spawn, words("task_name", entity_id(child)));
    let create = author.create(child);
    let mut both = [spawn, create];
    if author.draw.percent(50) {
        both.reverse();
    }
    for (at, action) in both.into_iter().enumerate() {
        author.push(action);
        author.last().together = at > 0 && author.draw.percent(60);
    }
    author.push(Action::Get { who: child });
    author.push(Action::Get { who });
}
