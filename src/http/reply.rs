//! Answers as HTTP responses.
//!
//! **Invariant:** every response but 204, and the page of metrics, is JSON.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::answer::{Answer, RequestError};
use crate::canonical;

/// The platform's answer.
pub(super) fn answer(answer: Answer) -> Response {
    let mut response =
        if answer.body.is_null() { Response::new(Body::empty()) } else { json(&answer.body) };
    *response.status_mut() =
        StatusCode::from_u16(answer.status).expect("the platform answers as in HTTP");
    let headers = response.headers_mut();
    if let Some(sequence_nr) = answer.sequence_nr {
        let tag = HeaderValue::try_from(format!("\"{sequence_nr}\""));
        headers.insert(ETAG, tag.expect("a number in quotes is a header"));
    }
    if let (201, Some(address)) = (answer.status, answer.body["@odata.id"].as_str()) {
        // A type's name may be anything; an address that is no header is in the body only.
        if let Ok(location) = HeaderValue::try_from(format!("/tdata/{address}")) {
            headers.insert(LOCATION, location);
        }
    }
    response
}

/// A request that the platform was not asked.
pub(super) fn refusal(error: RequestError) -> Response {
    let allowed = match &error {
        RequestError::MethodNotAllowed { allowed, .. } => Some(*allowed),
        _ => None,
    };
    let mut response = answer(error.into());
    if let Some(allowed) = allowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

/// Whether requests are served.
pub(super) fn health(is_stopping: bool) -> Response {
    let (status, word) = if is_stopping {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ok")
    };
    let mut response = json(&json!({"status": word}));
    *response.status_mut() = status;
    response
}

fn json(body: &Value) -> Response {
    let mut response = Response::new(Body::from(canonical::to_text(body)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
