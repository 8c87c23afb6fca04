//! The end-to-end of the design, as a person would do it by hand.

use super::{command, folder, get, post, with_modules};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use stormglass_platform::canonical;
use stormglass_scenarios::host::{self, Stopwatch};
use stormglass_scenarios::http::Request;
use stormglass_scenarios::live::process::Server;
use stormglass_scenarios::rows;

/// By curl where there is one, else by the harness's own client.
fn ask(server: &Server, request: &Request) -> (u16, Value) {
    let Some(out) = curl(server, request) else {
        println!("there is no curl: asked by the harness's own client");
        let answer = super::ask(server, request);
        return (answer.status, answer.body);
    };
    let (body, status) = out.rsplit_once('\n').expect("curl writes the status behind the body");
    let body = serde_json::from_str(body).expect("the body is JSON");
    (status.parse().expect("the status is a number"), body)
}

fn curl(server: &Server, request: &Request) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["-sS", "-X", request.method, "-w", "\n%{http_code}", "--data-binary", "@-"]);
    for (name, value) in &request.headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    command.arg(format!("http://{}{}", server.address(), request.target));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.ok()?;
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin.write_all(&request.body).expect("curl reads the body");
    drop(stdin);
    let output = child.wait_with_output().expect("curl ends");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("answers are UTF-8"))
}

/// The keys of the overflow rows, read from the file as it lies there.
fn overflow_rows(data: &Path) -> Vec<String> {
    let rows = rows::of_bytes(&data.join("acme.db"), "acme").expect("the file can be read");
    let keys = rows.blobs.into_iter().map(|row| row.key);
    keys.filter(|key| key.starts_with("field-overflow/sha256/")).collect()
}

/// Goal: a large value survives a kill, and a guest reads all of it. Method: the server, curl, a message
/// of 200 KiB, `kill -9`, the server again.
#[test]
fn a_large_message_is_provisioned_and_survives_a_kill() {
    let data = folder("story");
    let start = || Server::start(with_modules(command(&data))).expect("the server comes up");
    let server = start();
    let (status, created) = ask(&server, &post("/tdata/Sessions", r#"{"Id":"s1"}"#));
    assert_eq!((status, &created["status"]), (201, &json!("Draft")));

    let message: String =
        (0..).flat_map(|n| format!("{n} ").into_bytes()).map(char::from).take(200 * 1024).collect();
    let params = json!({"user_message": message}).to_string();
    let configure = post("/tdata/Sessions('s1')/Temper.Configure", &params);
    let (status, configured) = ask(&server, &configure);
    assert_eq!((status, &configured["fields"]["user_message"]), (200, &json!(message)));

    let waited = Stopwatch::start();
    let ready = loop {
        let (status, read) = ask(&server, &get("/tdata/Sessions('s1')"));
        assert_eq!(status, 200);
        if read["status"] != "Provisioning" {
            break read;
        }
        assert!(waited.elapsed() < Duration::from_secs(60), "no callback came: {}", read["status"]);
        host::sleep(Duration::from_millis(20));
    };
    assert_eq!(ready["status"], "Ready");
    assert_eq!(ready["fields"]["user_message"], message);
    assert_eq!(ready["fields"]["message_bytes"], 200 * 1024);
    let digest = canonical::sha256_hex(message.as_bytes());
    assert_eq!(ready["fields"]["message_sha256"], digest);
    assert!(super::text(&server, "/metrics").contains("stormglass_guest_runs_total 1\n"));

    server.kill().expect("it runs until it is killed");
    let body = canonical::to_text(&json!(message));
    let key = format!("field-overflow/sha256/{}.json", canonical::sha256_hex(body.as_bytes()));
    assert_eq!(overflow_rows(&data), std::slice::from_ref(&key));

    let server = start();
    let (status, after) = ask(&server, &get("/tdata/Sessions('s1')"));
    assert_eq!((status, after), (200, ready));
    let (_, history) = ask(&server, &get("/tdata/Sessions('s1')/Temper.History"));
    let actions = history["value"].as_array().expect("a page of events").iter();
    let actions: Vec<&str> = actions.filter_map(|event| event["action"].as_str()).collect();
    assert_eq!(actions, ["Created", "Configure", "Provisioned"]);
    server.stop().expect("it stops when it is told to");
    assert_eq!(overflow_rows(&data), [key]);
}
