//! The server as it is deployed: built without `--cfg madsim`, on a real clock, disk and socket.

mod input;
mod kills;
mod running;
mod story;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use stormglass_scenarios::http::{Answer, Request};
use stormglass_scenarios::live::client::Connection;
use stormglass_scenarios::live::process::{Server, plain};

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The server's program, built by the documented command: cargo knows whether it is older than its
/// sources.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--package", "stormglass-platform"])
            .args(["--target-dir", "target/live"])
            .env("RUSTFLAGS", "")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .current_dir(root())
            .output()
            .expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        root().join("target/live/release/stormglass-server")
    })
}

/// A folder for one test, empty at its beginning.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the folder for tests can be written");
    path
}

/// The server on this data folder, with the spec and the modules of the story.
fn command(data: &Path) -> Command {
    let mut command = plain(program());
    command.arg("--data").arg(data).arg("--specs").arg(root().join("tests/live"));
    command.args(["--listen", "127.0.0.1:0", "--log-level", "warn"]);
    command
}

fn with_modules(mut command: Command) -> Command {
    command.arg("--wasm").arg(root().join("sdk/wasm"));
    command
}

fn start(data: &Path) -> Server {
    Server::start(command(data)).expect("the server comes up")
}

/// A request on a connection of its own.
fn ask(server: &Server, request: &Request) -> Answer {
    let mut connection = Connection::open(server.address()).expect("the server listens");
    let reply = connection.ask(request).expect("the server answers");
    reply.answer().expect("it answers as the contract says")
}

fn post(target: &str, body: &str) -> Request {
    let request = Request::new("acme", "POST", target.to_string());
    Request { body: body.into(), ..request }
}

fn get(target: &str) -> Request {
    Request::new("acme", "GET", target.to_string())
}

/// A page that is no JSON.
fn text(server: &Server, target: &str) -> String {
    let mut connection = Connection::open(server.address()).expect("the server listens");
    let reply = connection.ask(&get(target)).expect("the server answers");
    assert_eq!(reply.status, 200);
    String::from_utf8(reply.body).expect("it is text")
}
