//! What the deployed server makes of the disk it has: `cargo bench --bench live`.
//!
//! Clients call actions over sockets; then libsql alone writes the very same rows, in the same
//! transactions with the same durability, to a file beside it. The two take turns, each round on fresh
//! files. The ratio is libsql's time over the server's: 1.0 would mean that all else is free.
//!
//! The server is built first by
//! `RUSTFLAGS= cargo build --release -p stormglass-platform --target-dir target/live`.
//!
//! **Invariant:** both sides write the same rows: libsql's are read from what the server wrote.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the host's clock: it is what it is for"
)]

#[allow(dead_code, reason = "the other benches use the rest")]
mod measure;

use libsql::{Builder, Connection as Database, Value, params::Params};
use measure::{fastest, time_us};
use std::path::{Path, PathBuf};
use std::thread;
use stormglass_scenarios::http::Request;
use stormglass_scenarios::live::client::Connection;
use stormglass_scenarios::live::process::{self, Server};
use stormglass_sim::block_on;

const AIM: f64 = 0.7;
const ROUNDS: usize = 5;

/// One kind of action.
struct Kind {
    name: &'static str,
    /// Bytes of the text that it brings.
    text_bytes: usize,
    /// The field that it sets: one without a ceiling of its own.
    field: &'static str,
    clients: usize,
    /// Actions of each client in a round.
    actions: usize,
}

const KINDS: [Kind; 3] = [
    Kind { name: "inline, 100 bytes", text_bytes: 100, field: "big", clients: 8, actions: 250 },
    Kind {
        name: "overflow, 200 KiB",
        text_bytes: 200 << 10,
        field: "big",
        clients: 8,
        actions: 25,
    },
    Kind { name: "inline, 1 client", text_bytes: 100, field: "big", clients: 1, actions: 500 },
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = root.join("target/live/release/stormglass-server");
    if !program.exists() {
        println!("no {}: see the head of benches/live.rs", program.display());
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-live");
    let _ = std::fs::remove_dir_all(&folder);
    process::lay_out(&folder).expect("the folder for benches can be written");
    let mut command = process::plain(&program);
    command.arg("--data").arg(folder.join("data")).arg("--specs").arg(folder.join("specs"));
    command.args(["--listen", "127.0.0.1:0", "--log-level", "warn", "--idle", "1h"]);
    let server = Server::start(command).expect("the server comes up");
    let mut is_slow = false;
    for kind in &KINDS {
        let rounds = (0..ROUNDS).map(|round| play(kind, round, &server, &folder));
        let (served, bare): (Vec<f64>, Vec<f64>) = rounds.unzip();
        let (served, bare) = (fastest(served), fastest(bare));
        let count = (kind.clients * kind.actions) as f64;
        let rate = |us: f64| count * 1e6 / us;
        let ratio = bare / served;
        println!(
            "{:<20} {} clients  server {:>7.0}/s  libsql {:>7.0}/s  ratio {ratio:.2} (aim {AIM})",
            kind.name,
            kind.clients,
            rate(served),
            rate(bare)
        );
        // One client waits for every answer: told, but no aim.
        is_slow |= ratio < AIM && kind.clients > 1;
    }
    server.stop().expect("it stops when it is told to");
    let _ = std::fs::remove_dir_all(&folder);
    if is_slow {
        std::process::exit(1);
    }
}

/// One round: microseconds that the server takes, and libsql with the same rows.
fn play(kind: &Kind, round: usize, server: &Server, folder: &Path) -> (f64, f64) {
    let tenant = format!("k{}-{}-{round}", kind.text_bytes, kind.clients);
    let mut clients: Vec<(Connection, Vec<Request>)> = (0..kind.clients)
        .map(|client| {
            let mut connection = Connection::open(server.address()).expect("the server listens");
            let create = request(&tenant, "/tdata/Sessions", &format!(r#"{{"Id":"s{client}"}}"#));
            ask(&mut connection, &create);
            (connection, actions(kind, &tenant, client))
        })
        .collect();
    let served = time_us(|| {
        thread::scope(|scope| {
            for (connection, requests) in &mut clients {
                scope.spawn(move || requests.iter().for_each(|one| ask(connection, one)));
            }
        });
    });
    let from = folder.join("data").join(format!("{tenant}.db"));
    let to = folder.join(format!("{tenant}-bare.db"));
    (served, block_on(bare(&from, &to, kind)).expect("libsql reads and writes"))
}

fn request(tenant: &str, target: &str, body: &str) -> Request {
    let request = Request::new(tenant, "POST", target.to_string());
    Request { body: body.into(), ..request }
}

fn actions(kind: &Kind, tenant: &str, client: usize) -> Vec<Request> {
    let target = format!("/tdata/Sessions('s{client}')/Temper.Write");
    let action = |number| {
        // No two bodies are equal: each becomes a row.
        let own = format!("{client}.{number}.");
        let text = own.repeat(kind.text_bytes / own.len() + 1);
        let body = format!(r#"{{"{}":"{}"}}"#, kind.field, &text[..kind.text_bytes]);
        request(tenant, &target, &body)
    };
    (0..kind.actions).map(action).collect()
}

fn ask(connection: &mut Connection, request: &Request) {
    let reply = connection.ask(request).expect("the server answers");
    assert!(reply.status < 300, "{}", String::from_utf8_lossy(&reply.body));
}

/// Writes the rows of one file to another, each event in a transaction, its blob in the next.
async fn bare(from: &PathBuf, to: &PathBuf, kind: &Kind) -> libsql::Result<f64> {
    let source = Builder::new_local(from).build().await?.connect()?;
    let target = Builder::new_local(to).build().await?.connect()?;
    target.query("PRAGMA journal_mode=WAL", ()).await?.next().await?;
    target.execute("PRAGMA synchronous=FULL", ()).await?;
    let schema = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    for mut row in rows(&source, schema).await? {
        let Some(Value::Text(sql)) = row.pop() else { continue };
        target.execute(&sql, ()).await?;
    }
    let events = rows(&source, "SELECT * FROM events ORDER BY id").await?;
    let blobs = rows(&source, "SELECT * FROM blobs WHERE size_bytes > 100 ORDER BY rowid").await?;
    let (created, written) = events.split_at(kind.clients);
    let count = kind.clients * kind.actions;
    let has_blobs = kind.text_bytes > 131_072;
    assert_eq!((written.len(), blobs.len()), (count, if has_blobs { count } else { 0 }));
    let begin = target.prepare("BEGIN IMMEDIATE").await?;
    let commit = target.prepare("COMMIT").await?;
    let insert = |table: &str, columns: usize| {
        let marks = vec!["?"; columns].join(", ");
        format!("INSERT INTO {table} VALUES ({marks})")
    };
    let insert_event = target.prepare(&insert("events", events[0].len())).await?;
    let columns = blobs.first().map_or(5, Vec::len);
    let insert_blob = target.prepare(&insert("blobs", columns)).await?;
    let write = async |statement: &libsql::Statement, row: &[Value]| -> libsql::Result<()> {
        begin.execute(()).await?;
        begin.reset();
        statement.execute(Params::Positional(row.to_vec())).await?;
        statement.reset();
        commit.execute(()).await?;
        commit.reset();
        Ok(())
    };
    for event in created {
        write(&insert_event, event).await?;
    }
    let mut blobs = blobs.iter();
    let mut result = Ok(());
    let us = time_us(|| {
        result = block_on(async {
            for event in written {
                write(&insert_event, event).await?;
                if let Some(blob) = blobs.next() {
                    write(&insert_blob, blob).await?;
                }
            }
            Ok(())
        });
    });
    result.map(|()| us)
}

async fn rows(database: &Database, sql: &str) -> libsql::Result<Vec<Vec<Value>>> {
    let mut found = database.query(sql, ()).await?;
    let count = found.column_count();
    let mut rows = Vec::new();
    while let Some(row) = found.next().await? {
        rows.push((0..count).map(|index| row.get_value(index)).collect::<Result<_, _>>()?);
    }
    Ok(rows)
}
