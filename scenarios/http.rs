//! Requests and answers of HTTP as a client has them in hand: what goes over a connection, whichever.
//!
//! **Invariant:** a request is only text and bytes until the router reads it, and an answer is read from
//! the bytes that the router wrote: what is simulated is what is deployed.

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::Value;
use stormglass_platform::http::Origin;
use tower::ServiceExt;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Such as `POST`.
    pub method: &'static str,
    /// Path and query, encoded.
    pub target: String,
    /// Headers by name.
    pub headers: Vec<(&'static str, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// Who sends it, for the labels of points; not sent over a socket.
    pub origin: String,
}

impl Request {
    /// A request of a tenant, without body.
    pub fn new(tenant: &str, method: &'static str, target: String) -> Request {
        let headers = vec![("x-tenant-id", tenant.to_string())];
        Request { method, target, headers, body: Vec::new(), origin: String::new() }
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Request {
        self.body = body.to_string().into_bytes();
        self
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The error's code; nothing for a success.
    pub code: Option<String>,
    /// The body; null if there is none.
    pub body: Value,
    /// The entity's version, as `ETag` tells it.
    pub sequence_nr: Option<u64>,
}

impl Answer {
    /// Reads an answer of this status, `ETag` and body; `Err` says how it is none of the contract's.
    ///
    /// # Errors
    /// A body that is no JSON, an error without code, an `ETag` that is no version or not the body's.
    pub fn read(status: u16, etag: Option<&str>, body: &[u8]) -> Result<Answer, String> {
        let body = match body {
            [] => Value::Null,
            body => {
                serde_json::from_slice(body).map_err(|why| format!("body is no JSON: {why}"))?
            }
        };
        let version = |etag: &str| etag.strip_prefix('"')?.strip_suffix('"')?.parse::<u64>().ok();
        let sequence_nr = match etag {
            None => None,
            Some(etag) => Some(version(etag).ok_or_else(|| format!("ETag is {etag}"))?),
        };
        if let Some(shown) = body.get("sequence_nr").and_then(Value::as_u64)
            && Some(shown) != sequence_nr
        {
            return Err(format!("ETag is {etag:?}, the body is of event {shown}"));
        }
        let code = body.pointer("/error/code").and_then(Value::as_str).map(str::to_string);
        if (status >= 400) != code.is_some() {
            return Err(format!("status {status} with {body}"));
        }
        Ok(Answer { status, code, body, sequence_nr })
    }

    /// Whether it is a success.
    pub fn is_success(&self) -> bool {
        self.status < 300
    }

    /// What an error of damaged data says is lost: a field, or an event by its number (I22). Of a list, what the
    /// first of its errors says.
    pub fn loss(&self) -> Option<String> {
        let items = self.body.get("value").and_then(Value::as_array).into_iter().flatten();
        let errors = items.filter_map(|item| item.get("@temper.error"));
        self.body.get("error").into_iter().chain(errors).find_map(loss_of)
    }
}

/// What an error's message says is lost.
fn loss_of(error: &Value) -> Option<String> {
    let message = error.get("message")?.as_str()?;
    match error.get("code")?.as_str()? {
        "BlobLost" => {
            let field = message.split_once("field `")?.1.split_once('`')?.0;
            (!field.is_empty()).then(|| format!("field `{field}`"))
        }
        "EventUndecodable" => {
            let number = message.split_once("event ")?.1.split(' ').next()?;
            let number = number.parse::<u64>().ok().filter(|number| *number > 0);
            number.map(|number| format!("event {number}"))
        }
        _ => None,
    }
}

/// Has a router serve a request, as a connection to it would.
///
/// # Errors
/// A request that HTTP cannot carry; what [`Answer::read`] says.
pub async fn serve(router: axum::Router, request: Request) -> Result<Answer, String> {
    let mut built = axum::http::Request::builder().method(request.method).uri(&request.target);
    for (name, value) in &request.headers {
        built = built.header(*name, value.as_str());
    }
    let built = built.extension(Origin(request.origin)).body(Body::from(request.body));
    let built = built.map_err(|why| format!("no request: {why}"))?;
    let response = router.oneshot(built).await.unwrap_or_else(|never| match never {});
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|why| format!("body breaks off: {why}"))?.to_bytes();
    let etag = head.headers.get("etag").map(|etag| String::from_utf8_lossy(etag.as_bytes()));
    Answer::read(head.status.as_u16(), etag.as_deref(), &body)
}

/// `Sessions('id')` as a path has it: percent-encoded, `'` doubled.
pub fn address(set: &str, id: &str) -> String {
    format!("/tdata/{}('{}')", encoded(set), encoded(&id.replace('\'', "''")))
}

/// Percent-encoded, all but what needs no encoding anywhere (RFC 3986, section 2.3).
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_read_whole_or_refused() {
        let read = |status, etag, body: &str| Answer::read(status, etag, body.as_bytes());
        let shown = read(200, Some("\"3\""), r#"{"sequence_nr":3}"#).expect("it is one");
        assert_eq!((shown.sequence_nr, shown.is_success()), (Some(3), true));
        let refused = read(404, None, r#"{"error":{"code":"X","message":""}}"#).expect("it is one");
        assert_eq!(refused.code.as_deref(), Some("X"));
        assert!(read(204, Some("\"3\""), "").is_ok_and(|answer| answer.body.is_null()));
        let odd = [
            read(200, Some("\"2\""), r#"{"sequence_nr":3}"#),
            read(200, None, r#"{"sequence_nr":3}"#),
            read(200, Some("3"), "{}"),
            read(500, None, "{}"),
            read(200, None, "oops"),
            read(200, None, r#"{"error":{"code":"X"}}"#),
        ];
        assert!(odd.iter().all(Result::is_err), "{odd:?}");
    }

    #[test]
    fn an_error_names_the_field_or_the_event_that_is_lost() {
        let loss = |code: &str, message: &str| {
            let body = json!({"error": {"code": code, "message": message}});
            let answer = Answer { status: 500, code: None, body, sequence_nr: None };
            answer.loss().unwrap_or_default()
        };
        let blob = "blob of field `big` of entity `Session('a')` is lost";
        assert_eq!(loss("BlobLost", blob), "field `big`");
        assert_eq!(loss("Unavailable", blob), "");
        assert_eq!(loss("BlobLost", "blob of field `` is lost"), "");
        assert_eq!(loss("BlobLost", "a blob is lost"), "");
        let event = "event 12 of entity `Session('a')` cannot be decoded: no text";
        assert_eq!(loss("EventUndecodable", event), "event 12");
        assert_eq!(loss("EventUndecodable", "event 0 of entity `a`"), "");
        assert_eq!(loss("EventUndecodable", "an event is lost"), "");
        let error = json!({"code": "BlobLost", "message": blob});
        let body = json!({"value": [{"Id": "b"}, {"@temper.error": error}]});
        let list = Answer { status: 200, code: None, body, sequence_nr: None };
        assert_eq!(list.loss().as_deref(), Some("field `big`"));
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(address("Sessions", "a o'\u{e9}"), "/tdata/Sessions('a%20o%27%27%C3%A9')");
    }
}
