//! `GET /metrics`: the platform's counters in Prometheus' text format.

use std::fmt::Write;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use crate::metrics::Metrics;

pub(super) fn page(metrics: &Metrics) -> Response {
    let mut response = Response::new(Body::from(text(metrics)));
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn text(metrics: &Metrics) -> String {
    let mut page = String::new();
    let name = "stormglass_requests_total";
    head(&mut page, name, "counter", "Answers given, by method and class of status.");
    for (method, class, count) in metrics.requests() {
        let labels = format!("method=\"{method}\",status=\"{class}\"");
        line(&mut page, &format!("{name}{{{labels}}}"), count);
    }
    let counters = [
        ("blobs_put", "Blobs written.", &metrics.blobs_put),
        ("blobs_swept", "Expired blobs deleted.", &metrics.blobs_swept),
        ("blobs_repaired", "Blobs that a replay has put back.", &metrics.blobs_repaired),
        ("guest_runs", "Runs of WebAssembly modules.", &metrics.guest_runs),
        ("replays", "Entities read from their journal.", &metrics.replays),
    ];
    for (name, help, counter) in counters {
        let name = format!("stormglass_{name}_total");
        head(&mut page, &name, "counter", help);
        line(&mut page, &name, counter.get());
    }
    let name = "stormglass_last_sweep_timestamp_seconds";
    head(&mut page, name, "gauge", "When a sweep last ended well, Unix time; 0 before the first.");
    line(&mut page, name, metrics.last_sweep_ms().div_euclid(1000));
    page
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
}

fn line(page: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(page, "{name} {value}").expect("a string takes all");
}
