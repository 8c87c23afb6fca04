//! Columns of a table, from the text of its `CREATE TABLE` as `sqlite_schema` keeps it.
//!
//! **Invariant:** a column's position is that of its value in a record. A text that this reader does
//! not understand is an error when its table is read, and none before.

use super::ReadError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Texts of tables that are remembered.
const TEXTS_MAX: usize = 256;

/// Where a column's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Which value of a record it is.
    pub position: usize,
    /// It is another name for the rowid (`INTEGER PRIMARY KEY`): its value in records is `NULL`.
    pub is_rowid: bool,
    /// Its type is exactly `INTEGER`.
    is_integer: bool,
    /// Its whole numbers may be stored as integers (affinity `REAL`).
    pub is_real: bool,
    /// Rows that lack it have another value than `NULL`.
    pub has_default: bool,
}

/// The columns of a table by name, read from their text when they are first asked for.
#[derive(Debug)]
pub(super) struct Columns {
    sql: Vec<u8>,
    parsed: OnceLock<Result<Vec<(String, Column)>, ReadError>>,
}

impl Columns {
    /// Those of `sqlite_schema` itself.
    pub fn of_schema() -> Arc<Columns> {
        Columns::new(b"CREATE TABLE sqlite_schema(type, name, tbl_name, rootpage, sql)")
    }

    /// Those that `sql` declares. What a text says is read once in a process, as long as there are few texts.
    pub fn new(sql: &[u8]) -> Arc<Columns> {
        static KNOWN: Mutex<BTreeMap<Vec<u8>, Arc<Columns>>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(columns) = known.get(sql) {
            return Arc::clone(columns);
        }
        if known.len() >= TEXTS_MAX {
            known.clear();
        }
        let fresh = Arc::new(Columns { sql: sql.to_vec(), parsed: OnceLock::new() });
        known.insert(sql.to_vec(), Arc::clone(&fresh));
        fresh
    }

    fn parsed(&self) -> &Result<Vec<(String, Column)>, ReadError> {
        self.parsed.get_or_init(|| {
            let tokens = std::str::from_utf8(&self.sql).ok().and_then(tokens);
            columns(&tokens.ok_or(ReadError::Unknown("the text of a table"))?)
        })
    }

    pub fn find(&self, name: &str) -> Result<Column, ReadError> {
        let columns = self.parsed().as_ref().map_err(Clone::clone)?;
        let found = columns.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let missing = || super::malformed(format!("no column `{name}`"));
        found.map(|(_, column)| *column).ok_or_else(missing)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A bare word, in lower case.
    Word(String),
    /// A name in quotes of any kind, or a text.
    Quoted(String),
    Open,
    Close,
    Comma,
    Other,
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own == word)
    }
}

/// Words, names and punctuation; none for a text that ends within one.
fn tokens(sql: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
        rest = match first {
            _ if rest.starts_with("--") => rest.split_once('\n').map_or("", |(_, after)| after),
            _ if rest.starts_with("/*") => rest[2..].split_once("*/")?.1,
            '"' | '\'' | '`' | '[' => {
                let (name, after) = quoted(after, if first == '[' { ']' } else { first })?;
                found.push(Token::Quoted(name));
                after
            }
            letter if is_word(letter) => {
                let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
                found.push(Token::Word(rest[..end].to_lowercase()));
                &rest[end..]
            }
            letter => {
                found.extend(match letter {
                    '(' => Some(Token::Open),
                    ')' => Some(Token::Close),
                    ',' => Some(Token::Comma),
                    letter if letter.is_whitespace() => None,
                    _ => Some(Token::Other),
                });
                after
            }
        };
    }
    Some(found)
}

/// What stands before the closing quote, which is doubled within, and what comes after it.
fn quoted(text: &str, close: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(close)?;
        name.push_str(before);
        match after.strip_prefix(close).filter(|_| close != ']') {
            Some(more) => {
                name.push(close);
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

fn columns(tokens: &[Token]) -> Result<Vec<(String, Column)>, ReadError> {
    let is_virtual = tokens.iter().take_while(|token| **token != Token::Open);
    if is_virtual.clone().any(|token| token.is("virtual")) {
        return Err(ReadError::Unknown("virtual tables"));
    }
    let open = is_virtual.count();
    let (definitions, options) = split(tokens.get(open + 1..).unwrap_or_default());
    if options.iter().any(|token| token.is("without")) {
        return Err(ReadError::Unknown("tables without rowid"));
    }
    let constraints = ["constraint", "primary", "unique", "check", "foreign"];
    let mut found: Vec<(String, Column)> = Vec::new();
    for definition in definitions {
        match definition {
            [Token::Word(word), ..] if constraints.contains(&word.as_str()) => {
                key_of_table(definition, &mut found);
            }
            [Token::Word(name) | Token::Quoted(name), rest @ ..] => {
                found.push((name.clone(), column(found.len(), rest)?));
            }
            _ => return Err(ReadError::Unknown("the text of a table")),
        }
    }
    Ok(found)
}

/// The definitions between commas up to the closing bracket, and what comes after it.
fn split(tokens: &[Token]) -> (Vec<&[Token]>, &[Token]) {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close if depth > 0 => depth -= 1,
            Token::Close => {
                found.push(&tokens[start..at]);
                return (found, &tokens[at + 1..]);
            }
            Token::Comma if depth == 0 => {
                found.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    (found, &[])
}

fn column(position: usize, rest: &[Token]) -> Result<Column, ReadError> {
    if rest.iter().any(|token| token.is("generated")) || rest.iter().any(|token| token.is("as")) {
        return Err(ReadError::Unknown("generated columns"));
    }
    let kind: Vec<&str> = rest.iter().map_while(type_word).collect();
    let kind_text = kind.concat().to_lowercase();
    let has = |part: &str| kind_text.contains(part);
    let is_text = has("int") || has("char") || has("clob") || has("text") || has("blob");
    let is_real = !is_text && (has("real") || has("floa") || has("doub"));
    let key = rest.windows(2).position(|pair| pair[0].is("primary") && pair[1].is("key"));
    // An old mistake that SQLite keeps: `INTEGER PRIMARY KEY DESC` is no rowid.
    let is_descending = key.is_some_and(|at| rest.get(at + 2).is_some_and(|next| next.is("desc")));
    let is_integer = kind.len() == 1 && kind[0].eq_ignore_ascii_case("integer");
    let is_rowid = is_integer && key.is_some() && !is_descending;
    let has_default = rest.iter().any(|token| token.is("default"));
    Ok(Column { position, is_rowid, is_integer, is_real, has_default })
}

/// A word of a column's type, as long as the type goes on.
fn type_word(token: &Token) -> Option<&str> {
    const AFTER: [&str; 9] = [
        "constraint",
        "primary",
        "not",
        "null",
        "unique",
        "check",
        "default",
        "collate",
        "references",
    ];
    match token {
        Token::Word(word) if !AFTER.contains(&word.as_str()) => Some(word),
        Token::Quoted(word) => Some(word),
        _ => None,
    }
}

/// `PRIMARY KEY (one)`, ascending or not, of a table whose column `one` is an `INTEGER` makes it the rowid.
fn key_of_table(definition: &[Token], found: &mut [(String, Column)]) {
    let key = definition.windows(2).position(|pair| pair[0].is("primary") && pair[1].is("key"));
    let Some(key) = key else { return };
    let columns = &definition[key + 2..];
    let only = columns.iter().take_while(|token| **token != Token::Close);
    let is_one = !only.clone().any(|token| *token == Token::Comma);
    if let [Token::Open, Token::Word(name) | Token::Quoted(name), ..] = columns
        && is_one
        && let Some((_, column)) = found.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name))
    {
        column.is_rowid = column.is_integer;
    }
}
