//! Clients at work, each with a connection and a thread of its own.
//!
//! **Invariant:** the model hears of a request before the server does, and of its end before the boot's.

use super::LiveError;
use super::author::{Author, Numbers};
use super::client::Connection;
use super::judge::Judge;
use super::process::Server;
use crate::plan::Step;
use std::thread;

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// With an answer that settles it.
    Answered,
    /// With a 5xx.
    Unavailable,
}

/// Sends one request. An error of the connection leaves it in doubt.
pub fn ask(connection: &mut Connection, judge: &Judge, step: &Step) -> Result<Said, LiveError> {
    let (request, op) = judge.sent(step);
    let reply = match connection.ask(&request) {
        Ok(reply) => reply,
        Err(lost) => {
            judge.lost(step, op);
            return Err(lost.into());
        }
    };
    let answer = reply.answer().map_err(LiveError::NoAnswer)?;
    judge.answered(step, op, &answer)?;
    Ok(if answer.status >= 500 { Said::Unavailable } else { Said::Answered })
}

/// Lets all clients work until `end` has ended the server; returns when they have noticed.
pub fn under_load(
    server: Server,
    (judge, numbers, authors): (&Judge, &Numbers, &mut [Author]),
    boot: u32,
    end: impl FnOnce(Server) -> Result<(), LiveError>,
) -> Result<(), LiveError> {
    numbers.boot(boot);
    let address = server.address();
    thread::scope(|scope| {
        let client = |author| {
            move || match Connection::open(address) {
                Ok(connection) => work(connection, judge, (numbers, author, boot)),
                // Killed before it was there.
                Err(_) => Ok(()),
            }
        };
        let threads: Vec<_> =
            authors.iter_mut().map(|author| scope.spawn(client(author))).collect();
        let ended = end(server);
        let worked: Result<Vec<()>, LiveError> =
            threads.into_iter().map(|one| one.join().expect("a client does not panic")).collect();
        ended.and(worked.map(drop))
    })
}

/// Asks until the connection is lost.
fn work(
    mut connection: Connection,
    judge: &Judge,
    (numbers, author, boot): (&Numbers, &mut Author, u32),
) -> Result<(), LiveError> {
    loop {
        let step = match author.unsettled.pop() {
            Some(step) => {
                judge.repeats();
                step
            }
            None => author.next(numbers, boot),
        };
        match ask(&mut connection, judge, &step) {
            Ok(Said::Answered) => {}
            Ok(Said::Unavailable) => author.leave(step),
            Err(LiveError::Connection(_)) => {
                author.leave(step);
                return Ok(());
            }
            Err(other) => return Err(other),
        }
    }
}

impl Author {
    /// Keeps a write that is to be sent again. Without a key it might be done twice.
    fn leave(&mut self, step: Step) {
        if step.key.is_some() {
            self.unsettled.push(step);
        }
    }
}
