//! Lines of a screen: as many columns as the terminal has, 100 at most and elsewhere, and colour where a person
//! watches.
//!
//! **Invariant:** colour is put around what is there; without it the text is the same.

use crate::host;
use std::io::{self, IsTerminal};

/// Where the words of a row begin.
pub const ROW: usize = 13;
/// Where what follows in a line of a story is set in.
const STORY: usize = 28;

/// Words behind a head, set in.
pub fn row(head: &str, words: &str, width: usize) -> Vec<String> {
    wrapped(&format!("  {head:<10} {}", super::diff::shortened(words)), ROW, width)
}

/// A space at which no line ends.
const HARD_SPACE: &str = "\u{a0}";

/// A line of a story on as many lines as it needs.
pub(super) fn of_story(line: &str, width: usize) -> Vec<String> {
    let line = format!("  {line}");
    let (head, rest) = match line.char_indices().nth(STORY - 2) {
        Some((at, _)) => line.split_at(at),
        None => (line.as_str(), ""),
    };
    // Stories of other forms, as those of scripts are, have no columns.
    if !head.ends_with(' ') {
        return wrapped(&line, STORY, width);
    }
    let parts: Vec<&str> =
        rest.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect();
    let line = match parts[..] {
        [client, step, outcome] => format!("{head}{client:<8}  {step:<42}  {outcome}"),
        _ => format!("{head}{}", parts.join("  ")),
    };
    if line.chars().count() <= width {
        return vec![line];
    }
    // The columns give way where there is too much to tell. What came of a step stays whole.
    let rest = match parts[..] {
        [client, step, outcome] if outcome.chars().count() + STORY <= width => {
            format!("{client}  {step}  {}", outcome.replace(' ', HARD_SPACE))
        }
        _ => parts.join("  "),
    };
    let lines = wrapped(&format!("{head}{rest}"), STORY, width).into_iter();
    lines.map(|line| line.replace(HARD_SPACE, " ")).collect()
}

/// A line on as many lines as it needs, each further one set in. A word that is too long for a line stands
/// whole: commands are copied.
pub fn wrapped(line: &str, indent: usize, width: usize) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), line.to_string());
    while rest.chars().count() > width {
        let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let set_in = rest.len() - rest.trim_start().len();
        let first = set_in.max(indent.min(end));
        // A blank right behind the last column ends the line as well.
        let end = if rest[end..].starts_with(' ') { end + 1 } else { end };
        let Some(at) = rest.get(first..end).and_then(|line| line.rfind(' ')) else { break };
        let (line, after) = rest.split_at(first + at);
        lines.push(line.trim_end().to_string());
        rest = format!("{:indent$}{}", "", after.trim_start());
    }
    lines.push(rest);
    lines
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Columns of a line, as far as words allow.
    pub width: usize,
    /// Whether what matters most is coloured.
    pub has_colour: bool,
}

impl Screen {
    /// No colour, and as many columns as a file has.
    pub const PLAIN: Screen = Screen { width: host::COLUMNS_MAX, has_colour: false };
    /// Colour.
    pub const COLOURED: Screen = Screen { has_colour: true, ..Screen::PLAIN };

    /// What standard output is: with colour if it is a terminal and nobody has asked for none.
    pub fn of_stdout() -> Screen {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen { width: host::columns(), has_colour: !is_refused && io::stdout().is_terminal() }
    }

    /// A head and words after it, on as many lines as they need.
    pub fn told(self, head: &str, words: &str) -> String {
        wrapped(&format!("{head:<12} {words}"), ROW, self.width).join("\n")
    }

    /// A line of a story, on as many lines as it needs.
    pub fn of_story(self, line: &str) -> Vec<String> {
        of_story(line, self.width)
    }

    /// A line of a failure with its colour.
    pub fn line(self, line: &str) -> String {
        let is_crash = || line.split_whitespace().nth(1) == Some("crash");
        let (code, len) = match line {
            _ if !self.has_colour => return line.to_string(),
            line if line.starts_with("FAIL ") => ("1;31", line.len()),
            line if line.starts_with("  expected ") => ("32", "  expected".len()),
            line if line.starts_with("  actual ") => ("31", "  actual".len()),
            line if line.starts_with("  t+") && is_crash() => ("33", line.len()),
            _ => return line.to_string(),
        };
        let (painted, rest) = line.split_at(len);
        format!("\u{1b}[{code}m{painted}\u{1b}[0m{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no word of a line is lost or made one with its neighbour, whatever its form, and what came of a step is
    /// on one line.
    #[test]
    fn a_line_without_columns_keeps_its_words() {
        let script = "t+0.000s  2 connections, journal DELETE, synchronous EXTRA, sectors of 4096 bytes, and more";
        let lines = of_story(script, 60);
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(words, script.split_whitespace().collect::<Vec<_>>());
        let (time, head, client) = ("t+0.000s", "step 2", "client 3");
        let step =
            format!("{time:<14} {head:<8} {client:<9} {:<64} 201 at event 1", "Create ".repeat(9));
        let lines = of_story(&step, 100);
        assert_eq!(lines.last().unwrap().trim_start(), "201 at event 1", "{lines:?}");
    }

    #[test]
    fn long_lines_go_on_below_and_no_word_is_cut() {
        let line = format!("{:<14} {:<8} {}", "t+0.000s", "crash", "abcdefg ".repeat(20));
        let lines = of_story(&line, 100);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= 100), "{lines:?}");
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(words, line.split_whitespace().collect::<Vec<_>>());
        assert!(lines[1].starts_with(&format!("{:STORY$}abcdefg", "")));
        let narrow = format!("{} {}", "a ".repeat(39), "\u{e9}".repeat(20));
        assert_eq!(wrapped(&narrow, 0, 80).len(), 2, "a letter of two bytes at the last column");
        let long = "\u{e9}".repeat(300);
        assert_eq!(wrapped(&long, 13, 80), [long]);
    }
}
