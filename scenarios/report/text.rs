//! Words for a page, from whatever a run wrote.
//!
//! **Invariant:** no character of a value can change what stands beside it: what a page would not show, or would
//! show in another order, is spelled out. Markup is escaped by the templates, data for scripts here.

use serde::Serialize;
use std::fmt::Write;
use stormglass_sim::Digest;

/// A text with at most so many characters, its unprintable ones spelled out. What is cut off is told by its
/// length and by a hash over the whole.
pub fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    for letter in rest.by_ref().take(chars_max) {
        if is_hidden(letter) {
            let _ = write!(out, "\u{27e8}U+{:04X}\u{27e9}", letter as u32);
        } else {
            out.push(letter);
        }
    }
    if rest.next().is_some() {
        let hash = Digest::of(text.as_bytes()).to_string();
        let _ = write!(out, "\u{2026} ({} bytes, xxh3 {})", text.len(), &hash[..12]);
    }
    out
}

/// Control characters, and those without width or with a say in the order of others.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// As [`shown`], for a text of several lines.
pub fn shown_lines(text: &str, chars_max: usize) -> String {
    text.lines().map(|line| shown(line, chars_max)).collect::<Vec<_>>().join("\n")
}

/// Data for a script, as JSON that no markup can end.
pub fn island(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).expect("data of ours is plain");
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", letter as u32);
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_would_hide_is_spelled_out() {
        assert_eq!(
            shown("a\u{202e}b\0\u{200b}", 9),
            "a\u{27e8}U+202E\u{27e9}b\u{27e8}U+0000\u{27e9}\u{27e8}U+200B\u{27e9}"
        );
        assert_eq!(shown("caf\u{e9} \u{5d0}", 9), "caf\u{e9} \u{5d0}");
    }

    #[test]
    fn a_long_text_is_told_by_its_length_and_hash() {
        let (one, other) = (shown(&"x".repeat(300), 4), shown(&"x".repeat(301), 4));
        assert!(one.starts_with("xxxx\u{2026} (300 bytes, xxh3 "), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn no_data_ends_a_script() {
        let data = ["</script><!--", "\u{2028}&"];
        let json = island(&data);
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<[String; 2]>(&json).unwrap(), data);
    }
}
