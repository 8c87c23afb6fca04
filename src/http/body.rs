//! Reads a request's body, up to what a body may be.
//!
//! **Invariant:** no more than [`BODY_MAX`] bytes of one request are held.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body as HttpBody, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::EXPECT;

use crate::answer::RequestError;
use crate::request::{BODY_MAX, Body};

/// So much of a body that is too large is read and thrown away: a client that is still sending
/// when the connection ends would see a reset instead of its answer.
const DISCARD_MAX: usize = 8 * BODY_MAX;
/// The room that a body gets before any of it has come, whatever its head promises.
const RESERVE_MAX: usize = 1024 * 1024;

pub(super) async fn read(headers: &HeaderMap, mut body: HttpBody) -> Result<Body, RequestError> {
    let promised = body.size_hint();
    let least = usize::try_from(promised.lower()).unwrap_or(usize::MAX);
    // A client that asks first has sent nothing yet.
    if least > BODY_MAX && headers.contains_key(EXPECT) {
        return Err(RequestError::BodyTooLarge(least));
    }
    let mut bytes = Vec::with_capacity(least.min(RESERVE_MAX));
    let mut size = 0;
    while let Some(frame) = poll_fn(|ctx| Pin::new(&mut body).poll_frame(ctx)).await {
        // A connection that breaks: nobody is there to read the answer.
        let frame = frame.map_err(|error| RequestError::InvalidBody(error.to_string()))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        size += data.len();
        if size.max(least) <= BODY_MAX {
            bytes.extend_from_slice(data);
        } else {
            bytes = Vec::new();
        }
        if size > DISCARD_MAX {
            break;
        }
    }
    let size = size.max(least);
    if size > BODY_MAX { Err(RequestError::BodyTooLarge(size)) } else { Ok(Body(bytes)) }
}
