//! A server from its settings to its end.

use super::{ask, command, folder, get, post, program, start, text};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use stormglass_scenarios::host::{self, Stopwatch};
use stormglass_scenarios::live::client::Connection;
use stormglass_scenarios::live::process::plain;

/// Goal: what was asked before a stop is answered. Method: a request of which half has come when the
/// server is told to stop, and the other half after it takes no connection any more.
#[test]
fn a_stop_waits_for_what_was_asked() {
    let data = folder("stop");
    let server = start(&data);
    let mut half = TcpStream::connect(server.address()).expect("the server listens");
    half.write_all(
        b"POST /tdata/Sessions HTTP/1.1\r\nHost: x\r\nX-Tenant-Id: acme\r\nContent-Length: 11\r\n\r\n{",
    )
    .expect("the server reads");
    // Until another request is answered the first has not surely been taken up.
    assert_eq!(text(&server, "/healthz"), r#"{"status":"ok"}"#);
    server.tell().expect("it is told");
    let waited = Stopwatch::start();
    while TcpStream::connect(server.address()).is_ok() {
        assert!(waited.elapsed() < Duration::from_secs(20), "it still takes connections");
        host::sleep(Duration::from_millis(10));
    }
    half.write_all(br#""Id":"s1"}"#).expect("the server reads");
    let mut answer = String::new();
    half.read_to_string(&mut answer).expect("the server answers and closes");
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    server.ended().expect("it ends with 0");

    let server = start(&data);
    assert_eq!(ask(&server, &get("/tdata/Sessions('s1')")).status, 200);
    server.stop().expect("it ends with 0");
}

/// Goal: a client that keeps its connection keeps no server from ending. Method: a connection that was
/// used and stays open over the stop.
#[test]
fn an_idle_connection_holds_no_stop_up() {
    let server = start(&folder("idle"));
    let mut connection = Connection::open(server.address()).expect("the server listens");
    let reply = connection.ask(&get("/healthz")).expect("the server answers");
    assert_eq!(reply.status, 200);
    let waited = Stopwatch::start();
    server.stop().expect("it ends with 0");
    // It waits 30 s for what was asked.
    assert!(waited.elapsed() < Duration::from_secs(20), "{:?}", waited.elapsed());
    assert!(connection.ask(&get("/healthz")).is_err());
}

/// What a server that does not start says, and that it ends with 2.
fn refused(command: &mut std::process::Command) -> String {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn two_servers_never_have_one_folder() {
    let data = folder("two");
    let server = start(&data);
    let said = refused(&mut command(&data));
    assert!(said.contains("is used by another server"), "{said}");
    assert_eq!(ask(&server, &post("/tdata/Sessions", "{}")).status, 201);
    server.kill().expect("it runs until it is killed");
    start(&data).stop().expect("a kill gives the folder back");
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let data = folder("settings");
    let specs = data.join("specs");
    std::fs::create_dir_all(&specs).expect("the folder for tests can be written");
    let spec = |text: &str| std::fs::write(specs.join("a.toml"), text).expect("it can be written");
    let run = |arguments: &[&str]| {
        let mut command = plain(program());
        command.arg("--data").arg(&data).arg("--specs").arg(&specs).args(arguments);
        refused(&mut command)
    };
    let told = |said: String, words: &str| assert!(said.contains(words), "`{words}` in {said}");
    told(run(&[]), "holds no file that ends in .toml");
    spec("[automaton]\nname = 'Note'\nstates = ['Open']\ninitial = 'Opne'\n");
    told(run(&[]), "a.toml:4:");
    spec("[automaton]\nname = 'Note'\nstates = ['Open']\ninitial = 'Open'\n");
    told(run(&["--listen", "here"]), "--listen");
    told(run(&["--listen", "192.0.2.1:80"]), "cannot listen on 192.0.2.1:80");
    told(run(&["--sweep-interval", "6"]), "--sweep-interval");
    told(run(&["--sweep-batch", "0"]), "sweep.batch must be at least 1");
    told(run(&["--tenant-mode", "acme=small:1"]), "neither blob-refs nor inline-truncate");
    told(run(&["--protocol", "x"]), "event-then-blobs");
    told(run(&["--wasm", "/nowhere"]), "modules folder /nowhere");
    let mut elsewhere = plain(program());
    elsewhere.arg("--data").arg("/nowhere").arg("--specs").arg(&specs);
    told(refused(&mut elsewhere), "data folder /nowhere");
    let mut from_environment = plain(program());
    from_environment.arg("--data").arg(&data).arg("--specs").arg(&specs);
    from_environment.env("STORMGLASS_SNAPSHOT_EVERY", "0");
    told(refused(&mut from_environment), "snapshot_every must be at least 1");
    told(refused(&mut plain(program())), "--data");
}

#[test]
fn counters_and_health_are_served() {
    let server = start(&folder("metrics"));
    assert_eq!(text(&server, "/healthz"), r#"{"status":"ok"}"#);
    assert_eq!(ask(&server, &post("/tdata/Sessions", r#"{"Id":"s1"}"#)).status, 201);
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(200_000));
    let patch = stormglass_scenarios::http::Request {
        method: "PATCH",
        ..post("/tdata/Sessions('s1')", &large)
    };
    assert_eq!(ask(&server, &patch).status, 200);
    let page = text(&server, "/metrics");
    for line in [
        "# TYPE stormglass_requests_total counter",
        "stormglass_requests_total{method=\"POST\",status=\"2xx\"} 1",
        "stormglass_requests_total{method=\"PATCH\",status=\"2xx\"} 1",
        "stormglass_blobs_put_total 1",
        "stormglass_blobs_swept_total 0",
        "stormglass_replays_total 1",
    ] {
        assert!(page.lines().any(|one| one == line), "`{line}` in {page}");
    }
}

/// Goal: what is deployed has no wrong turns to switch on. Method: their names, in the program's bytes.
#[test]
fn the_program_holds_no_name_of_a_defect() {
    let bytes = std::fs::read(program()).expect("the program can be read");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("X-Tenant-Id"), "texts of the program are found");
    let known = stormglass_platform::defects::KNOWN.iter().map(|defect| defect.name);
    let held: Vec<&str> = known.filter(|name| holds(name)).collect();
    assert!(held.is_empty(), "{held:?}");
}

#[test]
fn the_version_is_the_packages() {
    let output = plain(program()).arg("--version").output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), concat!("stormglass-server ", env!("CARGO_PKG_VERSION")));
}
