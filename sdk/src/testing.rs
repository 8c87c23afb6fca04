//! A host for tests of guests on the machine where they are written.
//!
//! **Invariant:** it answers as the platform's contract says, to the byte; what it cannot show is what needs the real
//! target: traps, fuel, and addresses outside memory.

use crate::{Answer, Context, Level};
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// A host with a context and fields, and what a guest told it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    context: String,
    fields: BTreeMap<String, Result<Vec<u8>, i32>>,
    results: Vec<String>,
    lines: Vec<(Level, String)>,
    returned: i32,
}

impl Host {
    /// A host that gives this context.
    pub fn new(context: &str) -> Host {
        Host { context: context.to_owned(), ..Host::default() }
    }

    /// With a field of this text.
    pub fn field(mut self, name: &str, text: &str) -> Host {
        self.fields.insert(name.to_owned(), Ok(text.as_bytes().to_vec()));
        self
    }

    /// With a field about which the host gives this negative answer.
    pub fn refused(mut self, name: &str, code: i32) -> Host {
        self.fields.insert(name.to_owned(), Err(code));
        self
    }

    /// Runs a guest to its end.
    pub fn run<A: Answer>(self, guest: impl FnOnce(&Context) -> A) -> Host {
        HOST.with(|host| *host.borrow_mut() = Some(self));
        let returned = crate::run(guest);
        let mut host =
            HOST.with(|host| host.borrow_mut().take()).expect("a guest cannot take its host away");
        host.returned = returned;
        host
    }

    /// The result that counts, `""` if there is none.
    pub fn result(&self) -> &str {
        self.results.last().map_or("", String::as_str)
    }

    /// How many results were set.
    pub fn result_count(&self) -> usize {
        self.results.len()
    }

    /// What `run` returned.
    pub fn returned(&self) -> i32 {
        self.returned
    }

    /// The lines of the log.
    pub fn lines(&self) -> &[(Level, String)] {
        &self.lines
    }
}

fn with<T>(call: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with(|host| {
        call(host.borrow_mut().as_mut().expect("a guest runs under `testing::Host::run`"))
    })
}

fn give(value: &[u8], buffer: &mut [u8]) -> i32 {
    if let Some(room) = buffer.get_mut(..value.len()) {
        room.copy_from_slice(value);
    }
    value.len() as i32
}

pub(crate) fn get_context(buffer: &mut [u8]) -> i32 {
    with(|host| give(host.context.as_bytes(), buffer))
}

pub(crate) fn set_result(result: &[u8]) -> i32 {
    match std::str::from_utf8(result) {
        Ok(text) => {
            with(|host| host.results.push(text.to_owned()));
            0
        }
        Err(_) => -3,
    }
}

pub(crate) fn log(level: Level, line: &str) {
    with(|host| host.lines.push((level, line.to_owned())));
}

pub(crate) fn read_field(name: &str, buffer: &mut [u8]) -> i32 {
    with(|host| match host.fields.get(name) {
        Some(Ok(value)) => give(value, buffer),
        Some(Err(code)) => *code,
        None => -1,
    })
}
