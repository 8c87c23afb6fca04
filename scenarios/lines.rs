//! Lines for a terminal: a head and words after it, as many to a line as fit.
//!
//! **Invariant:** a word stands whole on one line.

use crate::host;
use std::fmt;

/// A group's words after its name, on as many lines as they need.
pub fn wrapped(group: &str, words: &[String]) -> Vec<String> {
    within(host::columns(), group, words)
}

/// A text with no more than so many characters of it, and how long it was.
pub fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_string(),
    }
}

/// So many of what one is called: `1 event`, `2 events`, `0 recoveries`.
pub fn counted(count: impl fmt::Display, one: &str) -> String {
    let count = count.to_string();
    match one.strip_suffix('y') {
        _ if count == "1" => format!("1 {one}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ => format!("{count} {one}s"),
    }
}

fn within(width: usize, group: &str, words: &[String]) -> Vec<String> {
    let mut lines = vec![format!("{group:<12}")];
    for (at, word) in words.iter().enumerate() {
        let comma = if at + 1 < words.len() { "," } else { "" };
        let word = format!(" {word}{comma}");
        let len = |text: &str| text.chars().count();
        if lines.last().is_some_and(|line| line.len() > 12 && len(line) + len(&word) > width) {
            lines.push(" ".repeat(12));
        }
        let line = lines.last_mut().expect("the first line is there");
        *line += &word;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_is_told_as_one() {
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(0, "event"), "0 events");
        assert_eq!(counted(21, "recovery"), "21 recoveries");
        assert_eq!(counted(2, "day"), "2 days");
    }

    #[test]
    fn words_stand_whole_and_no_line_is_wider_than_it_may_be() {
        let words: Vec<String> = (0..60).map(|n| format!("a word of {n}")).collect();
        for width in [60, 80, 100] {
            let lines = within(width, "group", &words);
            assert!(lines.iter().all(|line| line.len() <= width), "{lines:?}");
            let told: String = lines.iter().map(|line| &line[12..]).collect();
            assert_eq!(told, format!(" {}", words.join(", ")));
        }
        assert_eq!(shortened("\u{e9}tat", 2), "\u{e9}t... (5 bytes)");
        assert_eq!(shortened("\u{e9}tat", 4), "\u{e9}tat");
        assert_eq!(within(20, "group", &["x".repeat(30)]).len(), 1);
    }
}
