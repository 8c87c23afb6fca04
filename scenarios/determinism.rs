//! One seed in two processes, compared record by record.
//!
//! **Invariant:** the comparison is made from outside. Nothing inside one process can show that
//! another would do the same: the two share their addresses, their caches and their environment.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

/// What two processes made of one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The traces are equal, so many lines long.
    Equal {
        /// Lines of each trace.
        line_count: usize,
    },
    /// The traces differ.
    Differ {
        /// The first line that does, counted from 1.
        line: usize,
        /// What the first process recorded there; nothing if it had ended.
        first: Option<String>,
        /// What the second process recorded there.
        second: Option<String>,
    },
    /// A process printed no trace at all, so that nothing was compared.
    NoTrace {
        /// What it wrote on standard error.
        last_words: String,
    },
}

/// Has `program` print the same trace twice, each in a process of its own, and compares the lines.
///
/// # Errors
/// When a process cannot be started.
pub fn compare(program: &Path, arguments: &[String]) -> io::Result<Comparison> {
    let play = || Command::new(program).args(arguments).output();
    let (first, second) = (play()?, play()?);
    if let Some(mute) = [&first, &second].into_iter().find(|output| output.stdout.is_empty()) {
        let last_words = String::from_utf8_lossy(&mute.stderr).trim().to_string();
        return Ok(Comparison::NoTrace { last_words });
    }
    let trace = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(first_difference(&trace(&first), &trace(&second)))
}

fn first_difference(first: &str, second: &str) -> Comparison {
    let (mut left, mut right) = (first.lines(), second.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (left.next(), right.next()) {
            (None, None) => return Comparison::Equal { line_count: line - 1 },
            (a, b) if a == b => {}
            (a, b) => {
                let (first, second) = (a.map(str::to_string), b.map(str::to_string));
                return Comparison::Differ { line, first, second };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb", "a\nb"), Comparison::Equal { line_count: 2 });
        let (first, second) = (Some("b".to_string()), None);
        assert_eq!(first_difference("a\nb", "a"), Comparison::Differ { line: 2, first, second });
    }
}
