//! Lines for a terminal: a head and words after it, as many to a line as fit.
//!
//! **Invariant:** a word stands whole on one line.

/// Columns of a line, as far as words allow.
const WIDTH: usize = 110;

/// A group's words after its name, on as many lines as they need.
pub fn wrapped(group: &str, words: &[String]) -> Vec<String> {
    let mut lines = vec![format!("{group:<12}")];
    for (at, word) in words.iter().enumerate() {
        let comma = if at + 1 < words.len() { "," } else { "" };
        if lines.last().is_some_and(|line| line.len() + word.len() > WIDTH) {
            lines.push(" ".repeat(12));
        }
        let line = lines.last_mut().expect("the first line is there");
        *line += &format!(" {word}{comma}");
    }
    lines
}
