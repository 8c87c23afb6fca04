//! What a method and a path ask for. Pure.
//!
//! **Invariant:** an id is read from an address exactly as answers write it: percent-encoded, `'`
//! doubled. A path that is none of ours is never taken for another.

use axum::http::Method;

use crate::answer::RequestError;

/// What is asked for, without options and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    List { set: String },
    Create { set: String },
    Get { set: String, id: String },
    Patch { set: String, id: String },
    Delete { set: String, id: String },
    History { set: String, id: String },
    Act { set: String, id: String, action: String },
}

impl Route {
    /// Reads a method and a path, which begins with a slash.
    pub fn parse(method: &Method, path: &str) -> Result<Self, RequestError> {
        let unknown = || RequestError::UnknownPath(path.to_owned());
        let mut segments = path.strip_prefix("/tdata/").ok_or_else(unknown)?.split('/');
        let place = segments.next().unwrap_or_default();
        let member = segments.next();
        if place.is_empty() || segments.next().is_some() {
            return Err(unknown());
        }
        let place = decode("path", place)?;
        let Some((set, key)) = place.split_once('(') else {
            return match member {
                None => Self::of_set(method, place),
                Some(_) => Err(unknown()),
            };
        };
        let set = set.to_owned();
        let id = id_of_key(key).ok_or_else(|| invalid("address", &place))?;
        let Some(member) = member else {
            return Self::of_entity(method, set, id);
        };
        let member = decode("path", member)?;
        match member.strip_prefix("Temper.") {
            None => Err(unknown()),
            Some("History") => {
                allow(method, "GET, HEAD")?;
                Ok(Self::History { set, id })
            }
            Some(action) => {
                allow(method, "POST")?;
                Ok(Self::Act { set, id, action: action.to_owned() })
            }
        }
    }

    fn of_set(method: &Method, set: String) -> Result<Self, RequestError> {
        allow(method, "GET, HEAD, POST")?;
        Ok(if *method == Method::POST { Self::Create { set } } else { Self::List { set } })
    }

    fn of_entity(method: &Method, set: String, id: String) -> Result<Self, RequestError> {
        allow(method, "GET, HEAD, PATCH, DELETE")?;
        Ok(match *method {
            Method::PATCH => Self::Patch { set, id },
            Method::DELETE => Self::Delete { set, id },
            _ => Self::Get { set, id },
        })
    }

    /// Whether the body counts. That of another request is left unread.
    pub fn has_body(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Patch { .. } | Self::Act { .. })
    }
}

/// Refuses a method that is not among these.
pub(super) fn allow(method: &Method, allowed: &'static str) -> Result<(), RequestError> {
    if allowed.split(", ").any(|one| one == method.as_str()) {
        return Ok(());
    }
    Err(RequestError::MethodNotAllowed { method: method.to_string(), allowed })
}

/// `'id')`, with `'` doubled within.
fn id_of_key(key: &str) -> Option<String> {
    let quoted = key.strip_prefix('\'')?.strip_suffix(')')?;
    unquote(quoted)
}

/// A quoted string without its first quote: `o''clock'` is `o'clock`.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    let inner = quoted.strip_suffix('\'')?;
    // What is left of the doubled ones must have no single one.
    let whole = inner.split("''").all(|part| !part.contains('\''));
    whole.then(|| inner.replace("''", "'"))
}

/// Percent-encoded UTF-8.
pub(super) fn decode(what: &'static str, text: &str) -> Result<String, RequestError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |index: usize| Some(char::from(*after.get(index)?).to_digit(16)? as u8);
        let pair = digit(0).zip(digit(1)).ok_or_else(|| invalid(what, text))?;
        bytes.push(pair.0 << 4 | pair.1);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| invalid(what, text))
}

pub(super) fn invalid(what: &'static str, name: &str) -> RequestError {
    RequestError::InvalidName { what, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hydrate::odata_id;

    fn parse(method: &str, path: &str) -> Result<Route, &'static str> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Route::parse(&method, path).map_err(|error| error.code())
    }

    #[test]
    fn every_route_is_read() {
        let (set, id) = (|| "Sessions".to_owned(), || "s1".to_owned());
        let get = Ok(Route::Get { set: set(), id: id() });
        assert_eq!(parse("GET", "/tdata/Sessions('s1')"), get);
        assert_eq!(parse("HEAD", "/tdata/Sessions('s1')"), get);
        assert_eq!(parse("GET", "/tdata/%53essions(%27s1%27)"), get);
        assert_eq!(parse("GET", "/tdata/Sessions"), Ok(Route::List { set: set() }));
        assert_eq!(parse("POST", "/tdata/Sessions"), Ok(Route::Create { set: set() }));
        let patch = Ok(Route::Patch { set: set(), id: id() });
        assert_eq!(parse("PATCH", "/tdata/Sessions('s1')"), patch);
        let delete = Ok(Route::Delete { set: set(), id: id() });
        assert_eq!(parse("DELETE", "/tdata/Sessions('s1')"), delete);
        let history = Ok(Route::History { set: set(), id: id() });
        assert_eq!(parse("GET", "/tdata/Sessions('s1')/Temper.History"), history);
        let act = Ok(Route::Act { set: set(), id: id(), action: "Go".to_owned() });
        assert_eq!(parse("POST", "/tdata/Sessions('s1')/Temper.Go"), act);
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for (method, path, code) in [
            ("GET", "/", "UnknownPath"),
            ("GET", "/tdata", "UnknownPath"),
            ("GET", "/tdata/", "UnknownPath"),
            ("GET", "/tdata//Sessions", "UnknownPath"),
            ("GET", "/tdata/Sessions/", "UnknownPath"),
            ("GET", "/tdata/Sessions/Temper.History", "UnknownPath"),
            ("GET", "/tdata/Sessions('a')/", "UnknownPath"),
            ("GET", "/tdata/Sessions('a')/History", "UnknownPath"),
            ("GET", "/tdata/Sessions('a')/Temper.History/x", "UnknownPath"),
            ("GET", "/tdata/Sessions()", "InvalidName"),
            ("GET", "/tdata/Sessions(1)", "InvalidName"),
            ("GET", "/tdata/Sessions('a", "InvalidName"),
            ("GET", "/tdata/Sessions('a)", "InvalidName"),
            ("GET", "/tdata/Sessions('a'", "InvalidName"),
            ("GET", "/tdata/Sessions('a'b')", "InvalidName"),
            ("GET", "/tdata/Sessions('a%27b')", "InvalidName"),
            ("GET", "/tdata/Sessions(''')", "InvalidName"),
            ("GET", "/tdata/Sessions('a')b", "InvalidName"),
            ("GET", "/tdata/Sessions('%4')", "InvalidName"),
            ("GET", "/tdata/Sessions('%zz')", "InvalidName"),
            ("GET", "/tdata/Sessions('%+1')", "InvalidName"),
            ("GET", "/tdata/Sessions('%ff')", "InvalidName"),
            ("PUT", "/tdata/Sessions", "MethodNotAllowed"),
            ("POST", "/tdata/Sessions('a')", "MethodNotAllowed"),
            ("GET", "/tdata/Sessions('a')/Temper.Go", "MethodNotAllowed"),
            ("POST", "/tdata/Sessions('a')/Temper.History", "MethodNotAllowed"),
        ] {
            assert_eq!(parse(method, path), Err(code), "{method} {path}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in ["s1", "o'clock", "''", "a/b (c) %27 \u{e9}\u{1f600}", "('x')", "+&?#=\"\\"] {
            let path = format!("/tdata/{}", odata_id("Sessions", id));
            let get = Route::Get { set: "Sessions".to_owned(), id: id.to_owned() };
            assert_eq!(parse("GET", &path), Ok(get));
        }
    }
}
