//! The router without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Origin, router};
use crate::request::BODY_MAX;
use crate::seams::{BoxFuture, Point, Points};
use crate::tests::world::{World, run};

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn word(&self) -> String {
        let code = self.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        format!("{} {code}", self.status.as_u16())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn send(router: &Router, request: HttpRequest<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Reply { status: parts.status, headers: parts.headers, body }
}

async fn ask(router: &Router, method: &str, uri: &str, body: impl Into<Body>) -> Reply {
    let request = HttpRequest::builder().method(method).uri(uri).header("X-Tenant-Id", "acme");
    send(router, request.body(body.into()).unwrap()).await
}

/// Goal: what a client needs, in one story. Method: every kind of request once.
#[test]
fn an_entity_lives_over_http() {
    run(async {
        let world = World::new();
        let router = router(Arc::new(world.start()));
        let address = "/tdata/Sessions('o''clock')";
        let created = ask(&router, "POST", "/tdata/Sessions", r#"{"Id":"o'clock"}"#).await;
        assert_eq!(created.status, 201);
        assert_eq!(created.header("ETag"), "\"1\"");
        assert_eq!(created.header("Content-Type"), "application/json");
        assert_eq!(created.header("Location"), "/tdata/Sessions('o''clock')");

        let long = "x".repeat(200_000);
        let params = json!({"user_message": long}).to_string();
        let act = ask(&router, "POST", &format!("{address}/Temper.Configure"), params).await;
        assert_eq!((act.status.as_u16(), act.header("ETag")), (200, "\"2\""));
        let patched = ask(&router, "PATCH", address, r#"{"title":"a"}"#).await;
        assert_eq!((patched.status.as_u16(), patched.header("ETag")), (200, "\"3\""));

        let read = ask(&router, "GET", address, "").await;
        assert_eq!((read.status.as_u16(), read.header("ETag")), (200, "\"3\""));
        assert_eq!(read.json()["fields"]["user_message"], long);
        assert_eq!(read.json()["sequence_nr"], 3);

        let history = format!("{address}/Temper.History?$top=1&$skip=1");
        let history = ask(&router, "GET", &history, "").await.json();
        assert_eq!(history["value"][0]["action"], "Configure");
        assert_eq!(history["@temper.next_skip"], 2);

        let gone = ask(&router, "DELETE", address, "").await;
        assert_eq!((gone.status.as_u16(), gone.body.as_str()), (204, ""));
        assert_eq!(ask(&router, "GET", address, "").await.word(), "404 EntityNotFound");
    });
}

#[test]
fn lists_are_filtered_before_they_are_cut() {
    run(async {
        let world = World::new();
        let router = router(Arc::new(world.start()));
        for number in 0..12 {
            let body = json!({"Id": format!("s{number:02}"), "kind": number % 2, "n": 1.5});
            ask(&router, "POST", "/tdata/Sessions", body.to_string()).await;
        }
        let ids = async |query: &str| {
            let reply = ask(&router, "GET", &format!("/tdata/Sessions?{query}"), "").await;
            let items = reply.json()["value"].as_array().unwrap().clone();
            items
                .iter()
                .map(|item| item["entity_id"].as_str().unwrap().to_owned())
                .collect::<Vec<String>>()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(ids("$filter=kind+eq+1&$skip=1&$top=2").await, ["s03", "s05"]);
        assert_eq!(ids("$filter=kind+eq+1&$skip=5").await, ["s11"]);
        assert_eq!(ids("$filter=kind+eq+1&$skip=6").await, none);
        assert_eq!(ids("$filter=kind+eq+1.0").await, none);
        assert_eq!(ids("$filter=n+eq+1.50&$skip=11").await, ["s11"]);
        assert_eq!(ids("$filter=Id+eq+'s04'").await, ["s04"]);
        assert_eq!(ids("$filter=Status+eq+'Draft'&$top=1").await, ["s00"]);
        assert_eq!(ids("$filter=unheard+eq+null&$top=1").await, ["s00"]);
        assert_eq!(ids("$filter=kind+eq+null").await, none);
        assert_eq!(ids("$top=0").await, none);

        let read = ask(&router, "GET", "/tdata/Sessions?$select=kind,unheard&$top=1", "").await;
        let item = read.json()["value"][0].clone();
        assert_eq!(item["fields"], json!({"Id": "s00", "kind": 0, "unheard": null}));
        assert_eq!((&item["counters"], &item["sequence_nr"]), (&json!({}), &json!(1)));
    });
}

/// Goal: an expired field is null to a filter too. Method: the same question around its deadline.
#[test]
fn filters_see_what_is_shown() {
    run(async {
        let world = World::new();
        let router = router(Arc::new(world.start()));
        let body = r#"{"Id":"a","scratch":"secret"}"#;
        ask(&router, "POST", "/tdata/Sessions", body).await;
        let count = async |literal: &str| {
            let uri = format!("/tdata/Sessions?$select=Status&$filter=scratch+eq+{literal}");
            let list = ask(&router, "GET", &uri, "").await.json();
            assert!(list["value"].as_array().unwrap().iter().all(|item| {
                item["fields"].get("scratch").is_none() && item.get("@temper.expired").is_none()
            }));
            list["value"].as_array().unwrap().len()
        };
        assert_eq!((count("'secret'").await, count("null").await), (1, 0));
        world.clock.set(crate::tests::world::START_MS + 60_000);
        assert_eq!((count("'secret'").await, count("null").await), (0, 1));
    });
}

#[test]
fn every_kind_of_bad_input_has_its_answer() {
    run(async {
        let world = World::new();
        let router = router(Arc::new(world.start()));
        ask(&router, "POST", "/tdata/Sessions", r#"{"Id":"a"}"#).await;
        for (method, uri, body, expected) in [
            ("GET", "/", "", "404 UnknownPath"),
            ("GET", "/tdata/Sesions", "", "404 UnknownSet"),
            ("GET", "/tdata/Sessions('b')", "", "404 EntityNotFound"),
            ("GET", "/tdata/Sessions('%80')", "", "400 InvalidName"),
            ("GET", "/tdata/Sessions('')", "", "400 InvalidName"),
            ("GET", "/tdata/Sessions('%0a')", "", "400 InvalidName"),
            ("PUT", "/tdata/Sessions('a')", "", "405 MethodNotAllowed"),
            ("POST", "/healthz", "", "405 MethodNotAllowed"),
            ("GET", "/tdata/Sessions?$top=1001", "", "400 NotSupported"),
            ("GET", "/tdata/Sessions('a')?$expand=x", "", "400 NotSupported"),
            ("POST", "/tdata/Sessions('a')/Temper.Nothing", "", "404 UnknownAction"),
            ("POST", "/tdata/Sessions('a')/Temper.", "", "404 UnknownAction"),
            ("POST", "/tdata/Sessions('a')/Temper.Turn", "", "409 WrongState"),
            ("POST", "/tdata/Sessions", "{", "400 InvalidBody"),
            ("POST", "/tdata/Sessions", "[]", "400 InvalidBody"),
            ("POST", "/tdata/Sessions", r#"{"Id":"a"}"#, "409 EntityExists"),
            ("PATCH", "/tdata/Sessions('a')", r#"{"Id":"b"}"#, "400 ReservedName"),
        ] {
            let reply = ask(&router, method, uri, body).await;
            assert_eq!(reply.word(), expected, "{method} {uri} {body}");
        }
        let refused = ask(&router, "PUT", "/tdata/Sessions('a')", "").await;
        assert_eq!(refused.header("Allow"), "GET, HEAD, PATCH, DELETE");
    });
}

#[test]
fn headers_are_judged() {
    run(async {
        let world = World::new();
        let router = router(Arc::new(world.start()));
        ask(&router, "POST", "/tdata/Sessions", r#"{"Id":"a"}"#).await;
        let patch = async |headers: &[(&str, &[u8])]| {
            let mut request = HttpRequest::builder().method("PATCH").uri("/tdata/Sessions('a')");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            send(&router, request.body(Body::from("{}")).unwrap()).await.word()
        };
        let (tenant, key, tag) = ("X-Tenant-Id", "Idempotency-Key", "If-Match");
        let acme = (tenant, b"acme".as_slice());
        assert_eq!(patch(&[]).await, "400 InvalidName");
        assert_eq!(patch(&[(tenant, b"Acme")]).await, "400 InvalidName");
        assert_eq!(patch(&[(tenant, b"acm\xe9")]).await, "400 InvalidName");
        assert_eq!(patch(&[acme, acme]).await, "400 InvalidName");
        assert_eq!(patch(&[(tenant, b"other")]).await, "404 EntityNotFound");
        assert_eq!(patch(&[acme, (key, b"k\xe9")]).await, "400 InvalidName");
        assert_eq!(patch(&[acme, (key, b"")]).await, "400 InvalidName");
        assert_eq!(patch(&[acme, (key, b"temper:1:0")]).await, "400 ReservedName");
        assert_eq!(patch(&[acme, (tag, b"\xe9")]).await, "400 InvalidName");
        assert_eq!(patch(&[acme, (tag, b"\"2\"")]).await, "412 PreconditionFailed");
        assert_eq!(patch(&[acme, (tag, b"\"2\""), (tag, b"\"1\""), (key, b"k")]).await, "200 ");
        assert_eq!(patch(&[acme, (tag, b"\"1\""), (key, b"k")]).await, "200 ", "a repeat");
        assert_eq!(patch(&[acme, (tag, b"*")]).await, "200 ");
    });
}

/// Goal: the limit is exact. Method: a body at it, one byte over it, and one that says it is over.
#[test]
fn a_body_has_a_limit() {
    run(async {
        let world = World::new();
        let router = router(Arc::new(world.start()));
        let body = |size: usize| {
            let head = r#"{"Id":"a","text":""#;
            format!("{head}{}\"}}", "x".repeat(size - head.len() - 2))
        };
        let post = async |body: Body| ask(&router, "POST", "/tdata/Sessions", body).await;
        assert_eq!(post(body(BODY_MAX + 1).into()).await.word(), "413 BodyTooLarge");
        let largest = post(body(BODY_MAX).into()).await;
        assert_eq!(
            (largest.status.as_u16(), largest.json()["entity_id"].as_str()),
            (201, Some("a"))
        );
        let request = HttpRequest::builder().method("POST").uri("/tdata/Sessions");
        let request = request.header("X-Tenant-Id", "acme").header("Expect", "100-continue");
        let request = request.body(Body::from(body(BODY_MAX + 1))).unwrap();
        assert_eq!(send(&router, request).await.word(), "413 BodyTooLarge");
    });
}

#[test]
fn counters_tell_what_was_done() {
    run(async {
        let world = World::new();
        let platform = Arc::new(world.start());
        let router = router(Arc::clone(&platform));
        let healthy = ask(&router, "GET", "/healthz", "").await;
        assert_eq!((healthy.status.as_u16(), healthy.body.as_str()), (200, r#"{"status":"ok"}"#));
        ask(&router, "POST", "/tdata/Sessions", r#"{"Id":"a","scratch":"x"}"#).await;
        ask(&router, "GET", "/tdata/Nothing", "").await;
        world.sql("acme", "DELETE FROM blobs RETURNING 1").await;
        ask(&router, "GET", "/tdata/Sessions('a')", "").await;
        world.clock.set(crate::tests::world::START_MS + 3_600_000);
        assert_eq!(platform.sweep("acme", 10).await, Ok(1));
        let page = ask(&router, "GET", "/metrics", "").await;
        assert!(page.header("Content-Type").starts_with("text/plain; version=0.0.4"));
        for line in [
            "stormglass_requests_total{method=\"GET\",status=\"2xx\"} 2",
            "stormglass_requests_total{method=\"GET\",status=\"4xx\"} 1",
            "stormglass_requests_total{method=\"POST\",status=\"2xx\"} 1",
            "stormglass_blobs_put_total 2",
            "stormglass_blobs_repaired_total 1",
            "stormglass_blobs_swept_total 1",
            "stormglass_replays_total 2",
            "stormglass_last_sweep_timestamp_seconds 1704070800",
        ] {
            assert!(page.body.lines().any(|one| one == line), "{line}\n{}", page.body);
        }
        platform.shutdown().await;
        assert_eq!(ask(&router, "GET", "/healthz", "").await.status, 503);
        let late = ask(&router, "GET", "/tdata/Sessions('a')", "").await;
        assert_eq!(late.word(), "503 Unavailable");
    });
}

/// Goal: a simulation sees who asks. Method: points that keep the origins they are shown.
#[test]
fn the_origin_of_a_request_reaches_the_points() {
    #[derive(Default)]
    struct Origins(std::sync::Mutex<Vec<String>>);
    impl Points for Origins {
        fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
            self.0.lock().unwrap().push(point.origin.to_owned());
            Box::pin(std::future::ready(()))
        }
    }
    run(async {
        let (world, origins) = (World::new(), Arc::new(Origins::default()));
        let router = router(Arc::new(world.start_with(Arc::clone(&origins) as Arc<dyn Points>)));
        let request = HttpRequest::builder().method("POST").uri("/tdata/Sessions");
        let request = request.header("X-Tenant-Id", "acme").extension(Origin("step 7".to_owned()));
        assert_eq!(send(&router, request.body(Body::from("{}")).unwrap()).await.status, 201);
        assert!(origins.0.lock().unwrap().iter().any(|origin| origin == "step 7"));
    });
}
