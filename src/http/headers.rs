//! The headers that say for whom, and under what condition.
//!
//! **Invariant:** what a header may hold is judged by the platform. Only what is no single text is
//! refused here.

use axum::http::HeaderMap;

use super::route::invalid;
use crate::answer::RequestError;

/// `X-Tenant-Id`.
pub(super) fn tenant(headers: &HeaderMap) -> Result<String, RequestError> {
    let tenant = single(headers, "x-tenant-id", "tenant")?;
    tenant.ok_or(RequestError::MissingTenant)
}

/// `Idempotency-Key`.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, RequestError> {
    single(headers, "idempotency-key", "idempotency key")
}

/// `If-Match`: several of them are one list.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<String>, RequestError> {
    let mut tags = Vec::new();
    for value in headers.get_all("if-match") {
        let text = value.to_str();
        tags.push(text.map_err(|_| invalid("If-Match", &latin(value.as_bytes())))?);
    }
    Ok((!tags.is_empty()).then(|| tags.join(", ")))
}

fn single(
    headers: &HeaderMap,
    name: &str,
    what: &'static str,
) -> Result<Option<String>, RequestError> {
    let mut values = headers.get_all(name).iter().map(|value| latin(value.as_bytes()));
    let first = values.next();
    match (first, values.next()) {
        (Some(first), Some(second)) => Err(invalid(what, &format!("{first}, {second}"))),
        (first, _) => Ok(first),
    }
}

/// Every byte a character, so that one that is not ASCII is still there to be refused.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
