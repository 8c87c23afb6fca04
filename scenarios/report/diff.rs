//! Two texts, with the words in which they differ marked.
//!
//! **Invariant:** the parts of a side, joined, are that side.

/// A part of a text, and whether the other one has it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The text.
    pub text: String,
    /// Whether it is in both.
    pub is_same: bool,
}

/// Words beyond which two texts are not compared: the table below has the square of it.
const WORDS_MAX: usize = 600;

/// The parts of both.
pub fn parts(one: &str, other: &str) -> [Vec<Part>; 2] {
    let (left, right) = (words(one), words(other));
    if left.len().max(right.len()) > WORDS_MAX {
        let whole = |text: &str| vec![Part { text: text.to_string(), is_same: one == other }];
        return [whole(one), whole(other)];
    }
    // common[i][j]: words that the rest from i on and the rest from j on have in common, in order.
    let mut common = vec![vec![0_u32; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = match left[i] == right[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let mut sides = [Vec::new(), Vec::new()];
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            add(&mut sides[0], left[i], true);
            add(&mut sides[1], right[j], true);
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || (i < left.len() && common[i + 1][j] >= common[i][j + 1]) {
            add(&mut sides[0], left[i], false);
            i += 1;
        } else {
            add(&mut sides[1], right[j], false);
            j += 1;
        }
    }
    sides
}

fn add(side: &mut Vec<Part>, word: &str, is_same: bool) {
    match side.last_mut().filter(|last| last.is_same == is_same) {
        Some(last) => last.text.push_str(word),
        None => side.push(Part { text: word.to_string(), is_same }),
    }
}

/// Runs of letters and digits, and every other character alone.
fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = match is_word(first) {
            true => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        found.push(&rest[..end]);
        rest = &rest[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_differs_is_marked() {
        let [one, other] = parts("version 3, state Done", "version 2, state Done");
        let marked = |side: &[Part]| -> Vec<String> {
            side.iter().filter(|part| !part.is_same).map(|part| part.text.clone()).collect()
        };
        assert_eq!((marked(&one), marked(&other)), (vec!["3".to_string()], vec!["2".to_string()]));
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(one in ".{0,40}", other in ".{0,40}") {
            let joined = |side: &[Part]| side.iter().map(|part| part.text.as_str()).collect::<String>();
            let [left, right] = parts(&one, &other);
            prop_assert_eq!(joined(&left), one);
            prop_assert_eq!(joined(&right), other);
            let same = |side: &[Part]| -> String {
                side.iter().filter(|part| part.is_same).map(|part| part.text.as_str()).collect()
            };
            prop_assert_eq!(same(&left), same(&right));
        }
    }
}
