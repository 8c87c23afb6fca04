//! The options behind the `?`: `$top`, `$skip`, `$select`, `$filter`. Pure.
//!
//! **Invariant:** an option that is not understood is refused, never left out: it would be an answer
//! to another question.

use super::route::{Route, decode, unquote};
use crate::answer::RequestError;
use crate::canonical;
use crate::defect;
use crate::request::Filter;
use serde_json::Value;

/// What the options ask for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    pub top: Option<u64>,
    pub skip: Option<u64>,
    pub select: Option<Vec<String>>,
    pub filter: Option<Filter>,
}

impl Options {
    /// Reads a query, which may be empty.
    pub fn parse(query: &str, route: &Route) -> Result<Self, RequestError> {
        let mut options = Self::default();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            // As forms are sent; a plus is `%2B`.
            let option = option.replace('+', " ");
            let (name, value) = option.split_once('=').unwrap_or((&option, ""));
            let read = options.read((name, value), route);
            if !defect!("bad-options-ignored") {
                read?;
            }
        }
        Ok(options)
    }

    fn read(&mut self, (name, value): (&str, &str), route: &Route) -> Result<(), RequestError> {
        let (name, value) = (decode("option", name)?, decode("option", value)?);
        let is_page = matches!(route, Route::List { .. } | Route::History { .. });
        let is_list = matches!(route, Route::List { .. });
        let is_first = match name.as_str() {
            "$top" if is_page => self.top.replace(number(&name, &value)?).is_none(),
            "$skip" if is_page => self.skip.replace(number(&name, &value)?).is_none(),
            "$select" if is_list => self.select.replace(names(&value)?).is_none(),
            "$filter" if is_list => self.filter.replace(filter(&value)?).is_none(),
            _ => return Err(unsupported(format!("option `{name}` here"))),
        };
        if is_first { Ok(()) } else { Err(unsupported(format!("option `{name}` twice"))) }
    }
}

fn unsupported(what: String) -> RequestError {
    RequestError::NotSupported(what)
}

fn number(name: &str, value: &str) -> Result<u64, RequestError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or_else(|| unsupported(format!("`{name}` of `{value}`")))
}

fn names(value: &str) -> Result<Vec<String>, RequestError> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(|name| name.is_empty() || name == "*") {
        return Err(unsupported(format!("`$select` of `{value}`")));
    }
    Ok(names)
}

/// `name eq literal`
fn filter(text: &str) -> Result<Filter, RequestError> {
    let refused = || unsupported(format!("`$filter` of `{text}`"));
    let (name, rest) = text.trim().split_once(' ').ok_or_else(refused)?;
    let value = rest.trim_start().strip_prefix("eq ").ok_or_else(refused)?;
    let value = literal(value.trim()).ok_or_else(refused)?;
    Ok(Filter { field: name.to_owned(), value })
}

fn literal(text: &str) -> Option<Value> {
    if let Some(quoted) = text.strip_prefix('\'') {
        return unquote(quoted).map(Value::String);
    }
    let value = canonical::parse(text.as_bytes()).ok()?;
    let is_literal = value.is_number() || value.is_boolean() || value.is_null();
    is_literal.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Route {
        Route::List { set: "Sessions".to_owned() }
    }

    fn parse(query: &str) -> Result<Options, &'static str> {
        Options::parse(query, &list()).map_err(|error| error.code())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(parse(""), Ok(Options::default()));
        assert_eq!(parse("&"), Ok(Options::default()));
        let read = parse("$top=2&%24skip=10&$select=Id,%20user_message").unwrap();
        assert_eq!((read.top, read.skip), (Some(2), Some(10)));
        assert_eq!(read.select, Some(vec!["Id".to_owned(), "user_message".to_owned()]));
    }

    #[test]
    fn filters_are_read() {
        for (query, expected) in [
            ("$filter=a+eq+'it''s'", Value::from("it's")),
            ("$filter=a%20eq%20''", Value::from("")),
            ("$filter=a eq 'b eq ''c'''", Value::from("b eq 'c'")),
            ("$filter=a eq -7", Value::from(-7)),
            ("$filter=a eq 1.50", Value::from(1.5)),
            ("$filter=a eq 18446744073709551615", Value::from(u64::MAX)),
            ("$filter=a eq true", Value::from(true)),
            ("$filter= a  eq  null ", Value::Null),
        ] {
            let filter = parse(query).unwrap().filter.unwrap();
            assert_eq!((filter.field.as_str(), filter.value), ("a", expected), "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (query, code) in [
            ("$top", "NotSupported"),
            ("$top=", "NotSupported"),
            ("$top=-1", "NotSupported"),
            ("$top=%2B1", "NotSupported"),
            ("$top=1.0", "NotSupported"),
            ("$top=x", "NotSupported"),
            ("$skip=99999999999999999999", "NotSupported"),
            ("$top=1&$top=1", "NotSupported"),
            ("$orderby=Id", "NotSupported"),
            ("top=1", "NotSupported"),
            ("$select=", "NotSupported"),
            ("$select=a,,b", "NotSupported"),
            ("$select=*", "NotSupported"),
            ("$filter=", "NotSupported"),
            ("$filter=a", "NotSupported"),
            ("$filter=a ne 1", "NotSupported"),
            ("$filter=a eq", "NotSupported"),
            ("$filter=a eq 'x", "NotSupported"),
            ("$filter=a eq 'x'y'", "NotSupported"),
            ("$filter=a eq 1 and b eq 2", "NotSupported"),
            ("$filter=a eq \"x\"", "NotSupported"),
            ("$filter=a eq [1]", "NotSupported"),
            ("$filter=a eq 99999999999999999999", "NotSupported"),
            ("$filter=a eq '%ff'", "InvalidName"),
            ("$filter=%2", "InvalidName"),
        ] {
            assert_eq!(parse(query), Err(code), "{query}");
        }
    }

    #[test]
    fn options_belong_to_what_they_are_asked_of() {
        let (set, id) = ("Sessions".to_owned(), "a".to_owned());
        let history = Route::History { set: set.clone(), id: id.clone() };
        let get = Route::Get { set, id };
        assert!(Options::parse("$top=1&$skip=1", &history).is_ok());
        assert!(Options::parse("$select=a", &history).is_err());
        assert!(Options::parse("$top=1", &get).is_err());
    }
}
