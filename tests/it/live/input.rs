//! Bad input over a socket: each kind has its own answer, and none changes anything.

use super::{ask, folder, get, post, start};
use serde_json::json;
use stormglass_platform::BODY_MAX;
use stormglass_scenarios::live::client::Connection;

/// A request that is sent as it stands: method and target, headers, body.
type Raw<'a> = (&'a str, &'a [u8], &'a [u8]);

const TENANT: &[u8] = b"X-Tenant-Id: acme\r\n";
const SESSIONS: &str = "POST /tdata/Sessions";
const S1: &str = "PATCH /tdata/Sessions('s1')";
const TURN: &str = "POST /tdata/Sessions('s1')/Temper.Turn";

fn bytes((line, headers, body): Raw<'_>) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: x\r\n").into_bytes();
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Status and code.
fn word(connection: &mut Connection, sent: &[u8]) -> String {
    let reply = connection.send(sent).expect("there is an answer");
    let answer = reply.answer().expect("it is one of the contract's");
    format!("{} {}", answer.status, answer.code.unwrap_or_default())
}

fn headers() -> Vec<(Raw<'static>, &'static str)> {
    vec![
        ((SESSIONS, b"", b"{}"), "400 InvalidName"),
        ((SESSIONS, b"X-Tenant-Id: Acme\r\n", b"{}"), "400 InvalidName"),
        ((SESSIONS, b"X-Tenant-Id: acme\r\nX-Tenant-Id: acme\r\n", b"{}"), "400 InvalidName"),
        ((SESSIONS, b"X-Tenant-Id: acm\xc3\xa9\r\n", b"{}"), "400 InvalidName"),
        ((S1, b"X-Tenant-Id: other\r\n", b"{}"), "404 EntityNotFound"),
        ((S1, b"X-Tenant-Id: acme\r\nIdempotency-Key: \r\n", b"{}"), "400 InvalidName"),
        ((S1, b"X-Tenant-Id: acme\r\nIdempotency-Key: \xe9\r\n", b"{}"), "400 InvalidName"),
        ((S1, b"X-Tenant-Id: acme\r\nIdempotency-Key: temper:1:0\r\n", b"{}"), "400 ReservedName"),
        ((S1, b"X-Tenant-Id: acme\r\nIdempotency-Key: first\r\n", b"{}"), "409 KeyReused"),
        ((S1, b"X-Tenant-Id: acme\r\nIf-Match: \"7\"\r\n", b"{}"), "412 PreconditionFailed"),
        ((S1, b"X-Tenant-Id: acme\r\nIf-Match: \xe9\r\n", b"{}"), "400 InvalidName"),
    ]
}

fn addresses() -> Vec<(&'static str, &'static str)> {
    vec![
        ("GET /", "404 UnknownPath"),
        ("GET /tdata/", "404 UnknownPath"),
        ("GET /tdata/Sessions('s1')/History", "404 UnknownPath"),
        ("GET /tdata/Sesions", "404 UnknownSet"),
        ("GET /tdata/Sessions('s2')", "404 EntityNotFound"),
        ("GET /tdata/Sessions('s2')/Temper.History", "404 EntityNotFound"),
        ("GET /tdata/Sessions(s1)", "400 InvalidName"),
        ("GET /tdata/Sessions('s1)", "400 InvalidName"),
        ("GET /tdata/Sessions('s'1')", "400 InvalidName"),
        ("GET /tdata/Sessions('')", "400 InvalidName"),
        ("GET /tdata/Sessions('%')", "400 InvalidName"),
        ("GET /tdata/Sessions('%ff')", "400 InvalidName"),
        ("GET /tdata/Sessions('%00')", "400 InvalidName"),
        ("PUT /tdata/Sessions('s1')", "405 MethodNotAllowed"),
        ("GET /tdata/Sessions('s1')/Temper.Turn", "405 MethodNotAllowed"),
        ("POST /tdata/Sessions('s1')/Temper.History", "405 MethodNotAllowed"),
        ("POST /metrics", "405 MethodNotAllowed"),
        ("GET /tdata/Sessions?$orderby=Id", "400 NotSupported"),
        ("GET /tdata/Sessions?$top=ten", "400 NotSupported"),
        ("GET /tdata/Sessions?$top=1001", "400 NotSupported"),
        ("GET /tdata/Sessions?$skip=-1", "400 NotSupported"),
        ("GET /tdata/Sessions?$top=1&$top=2", "400 NotSupported"),
        ("GET /tdata/Sessions?$filter=turns%20gt%201", "400 NotSupported"),
        ("GET /tdata/Sessions?$filter=%zz", "400 InvalidName"),
        ("GET /tdata/Sessions('s1')?$expand=all", "400 NotSupported"),
    ]
}

fn bodies() -> Vec<((&'static str, &'static [u8]), &'static str)> {
    vec![
        ((SESSIONS, b"{"), "400 InvalidBody"),
        ((SESSIONS, b"[]"), "400 InvalidBody"),
        ((SESSIONS, b"\xff"), "400 InvalidBody"),
        ((SESSIONS, br#"{"a":1,"a":1}"#), "400 InvalidBody"),
        ((SESSIONS, br#"{"a":"\ud800"}"#), "400 InvalidBody"),
        ((SESSIONS, br#"{"a":18446744073709551616}"#), "400 InvalidBody"),
        ((SESSIONS, br#"{"a":1e999}"#), "400 InvalidBody"),
        ((SESSIONS, br#"{"Id":7}"#), "400 InvalidBody"),
        ((SESSIONS, br#"{"Id":""}"#), "400 InvalidName"),
        ((SESSIONS, br#"{"Id":"s1"}"#), "409 EntityExists"),
        ((SESSIONS, br#"{"Status":"Ready"}"#), "400 ReservedName"),
        ((SESSIONS, br#"{"turns":1}"#), "400 ReservedName"),
        ((SESSIONS, br#"{"a":{"__temper_blob_ref":"x"}}"#), "400 ReservedName"),
        ((S1, br#"{"Id":"s2"}"#), "400 ReservedName"),
        ((TURN, b""), "409 WrongState"),
        (("POST /tdata/Sessions('s1')/Temper.Wirte", b""), "404 UnknownAction"),
    ]
}

/// Goal: whatever is wrong with a request has its own answer and leaves no trace. Method: one request of
/// each kind on one connection, which lives through all of them, and the entity's history at the end.
#[test]
fn every_kind_of_bad_input_is_answered_and_changes_nothing() {
    let data = folder("input");
    let server = start(&data);
    let first = post("/tdata/Sessions", r#"{"Id":"s1"}"#);
    let first = stormglass_scenarios::http::Request {
        headers: [first.headers.clone(), vec![("idempotency-key", "first".to_string())]].concat(),
        ..first
    };
    assert_eq!(ask(&server, &first).status, 201);

    let mut connection = Connection::open(server.address()).expect("the server listens");
    let deep = "[".repeat(101) + &"]".repeat(101);
    let deep = format!("{{\"a\":{deep}}}");
    let long = format!("GET /tdata/Sessions('{}')", "x".repeat(256));
    let addresses = addresses().into_iter().chain([(long.as_str(), "400 InvalidName")]);
    let bodies = bodies().into_iter().chain([((SESSIONS, deep.as_bytes()), "400 InvalidBody")]);
    let raws = headers().into_iter();
    let raws = raws.chain(addresses.map(|(line, expected)| ((line, TENANT, &b""[..]), expected)));
    let raws = raws.chain(bodies.map(|((line, body), expected)| ((line, TENANT, body), expected)));
    for (raw, expected) in raws {
        let shown = format!("{} {:?}", raw.0, String::from_utf8_lossy(raw.2));
        assert_eq!(word(&mut connection, &bytes(raw)), expected, "{shown}");
    }

    let history = ask(&server, &get("/tdata/Sessions('s1')/Temper.History"));
    assert_eq!(history.body["@odata.count"], 1);
    let all = ask(&server, &get("/tdata/Sessions"));
    assert_eq!(all.body["value"].as_array().map(Vec::len), Some(1));
    server.stop().expect("it stops when it is told to");
    let tenants = std::fs::read_dir(&data).expect("the folder is there");
    let names = tenants.map(|entry| entry.expect("it can be read").file_name());
    assert!(names.filter(|name| name.to_string_lossy().ends_with(".db")).count() == 1);
}

/// Goal: no body is too large to be answered, whether its size is said or not. Method: one whose head says
/// it, one in chunks, one that waits to be asked for.
#[test]
fn a_body_that_is_too_large_is_answered() {
    let server = start(&folder("large"));
    let body = vec![b' '; BODY_MAX + 1];
    let mut chunked = format!("{SESSIONS} HTTP/1.1\r\nHost: x\r\n").into_bytes();
    chunked.extend_from_slice(TENANT);
    chunked.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(1 << 20) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let asking = format!(
        "{SESSIONS} HTTP/1.1\r\nHost: x\r\nX-Tenant-Id: acme\r\nExpect: 100-continue\r\n\
        Content-Length: {}\r\n\r\n",
        body.len()
    );
    for sent in [bytes((SESSIONS, TENANT, &body)), chunked, asking.into_bytes()] {
        let mut connection = Connection::open(server.address()).expect("the server listens");
        assert_eq!(word(&mut connection, &sent), "413 BodyTooLarge");
    }
    let mut whole = json!({"Id": "s1"}).to_string().into_bytes();
    whole.resize(BODY_MAX, b' ');
    let mut connection = Connection::open(server.address()).expect("the server listens");
    assert_eq!(word(&mut connection, &bytes((SESSIONS, TENANT, &whole))), "201 ");
}

#[test]
fn what_is_no_http_ends_its_connection_and_nothing_else() {
    let server = start(&folder("noise"));
    for noise in [&b"\x16\x03\x01\x02\x00\x01\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"]
    {
        let mut connection = Connection::open(server.address()).expect("the server listens");
        if let Ok(reply) = connection.send(noise) {
            assert!(reply.status >= 400, "{}", reply.status);
        }
    }
    assert_eq!(super::text(&server, "/healthz"), r#"{"status":"ok"}"#);
}
