//! The router: HTTP requests to [`Request`]s, answers to HTTP responses.
//!
//! **Invariant:** nothing is decided here that concerns an entity. The router translates, and
//! refuses what is no request at all. It needs no runtime, timer or thread, so that the same router
//! answers in simulation and on a socket.

mod body;
mod headers;
mod metrics;
mod options;
mod reply;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request as HttpRequest;
use axum::http::Method;
use axum::response::Response;

use crate::answer::{Answer, RequestError};
use crate::platform::Platform;
use crate::request::{Body, Op, Request};
use options::Options;
use route::Route;

/// Who sends a request, as an extension of it: what [`Request::origin`] becomes. Callers within
/// the process may set it; what comes over a socket has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub String);

/// The router over a platform: `/tdata/…` as the contract's section 8 has it, `/healthz`, `/metrics`.
pub fn router(platform: Arc<Platform>) -> Router {
    Router::new().fallback(async move |request: HttpRequest| {
        let method = request.method().clone();
        let response = respond(&platform, request).await;
        platform.metrics().answered(method.as_str(), response.status().as_u16());
        response
    })
}

async fn respond(platform: &Platform, request: HttpRequest) -> Response {
    let served = match request.uri().path() {
        "/healthz" => read_only(request.method()).map(|()| reply::health(platform.is_stopping())),
        "/metrics" => read_only(request.method()).map(|()| metrics::page(platform.metrics())),
        _ => serve(platform, request).await.map(reply::answer),
    };
    served.unwrap_or_else(reply::refusal)
}

fn read_only(method: &Method) -> Result<(), RequestError> {
    route::allow(method, "GET, HEAD")
}

async fn serve(platform: &Platform, request: HttpRequest) -> Result<Answer, RequestError> {
    let route = Route::parse(request.method(), request.uri().path())?;
    let options = Options::parse(request.uri().query().unwrap_or_default(), &route)?;
    let (parts, body) = request.into_parts();
    let tenant = headers::tenant(&parts.headers)?;
    let idempotency_key = headers::idempotency_key(&parts.headers)?;
    let if_match = headers::if_match(&parts.headers)?;
    let origin = parts.extensions.get::<Origin>().map(|origin| origin.0.clone());
    let body =
        if route.has_body() { body::read(&parts.headers, body).await? } else { Body::default() };
    let op = op(route, options, body);
    let origin = origin.unwrap_or_default();
    let request = Request { tenant, idempotency_key, if_match, origin, op };
    Ok(platform.handle(request).await)
}

fn op(route: Route, options: Options, body: Body) -> Op {
    let Options { top, skip, select, filter } = options;
    let skip = skip.unwrap_or(0);
    match route {
        Route::List { set } => Op::List { set, top, skip, select, filter },
        Route::Create { set } => Op::Create { set, body },
        Route::Get { set, id } => Op::Get { set, id },
        Route::Patch { set, id } => Op::Patch { set, id, body },
        Route::Delete { set, id } => Op::Delete { set, id },
        Route::History { set, id } => Op::History { set, id, top, skip },
        Route::Act { set, id, action } => Op::Act { set, id, action, params: body },
    }
}
