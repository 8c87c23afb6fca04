//! What the deployed server makes of the disk it has: `cargo bench --bench live`.
//!
//! Clients call actions over sockets; then libsql alone writes the very same rows, in the same
//! transactions with the same durability, to a file beside it. The two take turns every few rows, for a
//! disk that others use is now fast and now slow. The ratio is libsql's time over the server's, of all
//! turns the median: 1.0 would mean that all else is free.
//!
//! It fails when a ratio is below its aim. The server is built first by
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

use libsql::{Builder, Connection as Database, Statement, Value, params::Params};
use measure::time_us;
use std::path::Path;
use std::thread;
use stormglass_scenarios::http::Request;
use stormglass_scenarios::live::client::Connection;
use stormglass_scenarios::live::process::{self, Server};
use stormglass_sim::block_on;

const AIM: f64 = 0.7;
const TURNS: usize = 60;

/// One kind of action.
struct Kind {
    name: &'static str,
    /// Bytes of the text that it brings.
    text_bytes: usize,
    clients: usize,
    /// Actions of each client in a turn.
    actions: usize,
}

const KINDS: [Kind; 3] = [
    Kind { name: "inline, 100 bytes", text_bytes: 100, clients: 8, actions: 5 },
    Kind { name: "overflow, 200 KiB", text_bytes: 200 << 10, clients: 8, actions: 1 },
    Kind { name: "inline, one client", text_bytes: 100, clients: 1, actions: 20 },
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
        let ratio = play(kind, &server, &folder);
        // One client waits for every answer: told, but no aim.
        is_slow |= ratio < AIM && kind.clients > 1;
    }
    server.stop().expect("it stops when it is told to");
    let _ = std::fs::remove_dir_all(&folder);
    if is_slow {
        std::process::exit(1);
    }
}

/// All turns of one kind; returns the median ratio.
fn play(kind: &Kind, server: &Server, folder: &Path) -> f64 {
    let tenant = format!("k{}-{}", kind.text_bytes, kind.clients);
    let mut clients: Vec<Connection> = (0..kind.clients)
        .map(|client| {
            let mut connection = Connection::open(server.address()).expect("the server listens");
            let body = format!(r#"{{"Id":"s{client}"}}"#);
            ask(&mut connection, &request(&tenant, "/tdata/Sessions", &body));
            connection
        })
        .collect();
    let (from, to) = (format!("data/{tenant}.db"), format!("{tenant}-bare.db"));
    let bare = block_on(Bare::open(&folder.join(from), &folder.join(to)));
    let mut bare = bare.expect("libsql opens both files");
    let mut times = Vec::new();
    for turn in 0..TURNS {
        let actions: Vec<Vec<Request>> =
            (0..kind.clients).map(|client| actions(kind, &tenant, (client, turn))).collect();
        let served_us = time_us(|| {
            thread::scope(|scope| {
                for (connection, requests) in clients.iter_mut().zip(&actions) {
                    scope.spawn(move || requests.iter().for_each(|one| ask(connection, one)));
                }
            });
        });
        let count = kind.clients * kind.actions;
        let bare_us = block_on(bare.follow(count, kind)).expect("libsql reads and writes");
        times.push((served_us, bare_us));
    }
    let count = (kind.clients * kind.actions * TURNS) as f64;
    let rate = |us: f64| count * 1e6 / us;
    let mut ratios: Vec<f64> = times.iter().map(|(served, bare)| bare / served).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[TURNS / 2];
    println!(
        "{:<19} {} clients  server {:>6.0}/s  libsql {:>6.0}/s  ratio {ratio:.2} (quartiles \
        {:.2} {:.2}, aim {AIM})",
        kind.name,
        kind.clients,
        rate(times.iter().map(|(served, _)| served).sum()),
        rate(times.iter().map(|(_, bare)| bare).sum()),
        ratios[TURNS / 4],
        ratios[TURNS * 3 / 4],
    );
    ratio
}

fn request(tenant: &str, target: &str, body: &str) -> Request {
    let request = Request::new(tenant, "POST", target.to_string());
    Request { body: body.into(), ..request }
}

fn actions(kind: &Kind, tenant: &str, (client, turn): (usize, usize)) -> Vec<Request> {
    let target = format!("/tdata/Sessions('s{client}')/Temper.Write");
    let action = |number| {
        // No two bodies are equal: each becomes a row.
        let own = format!("{client}.{turn}.{number}.");
        let text = own.repeat(kind.text_bytes / own.len() + 1);
        // A field without a ceiling of its own.
        let body = format!(r#"{{"big":"{}"}}"#, &text[..kind.text_bytes]);
        request(tenant, &target, &body)
    };
    (0..kind.actions).map(action).collect()
}

fn ask(connection: &mut Connection, request: &Request) {
    let reply = connection.ask(request).expect("the server answers");
    assert!(reply.status < 300, "{}", String::from_utf8_lossy(&reply.body));
}

/// libsql alone, which writes what the server wrote.
struct Bare {
    source: Database,
    _target: Database,
    begin: Statement,
    commit: Statement,
    insert_event: Statement,
    insert_blob: Statement,
    /// The last rows that it has written.
    last: (i64, i64),
}

impl Bare {
    async fn open(from: &Path, to: &Path) -> libsql::Result<Bare> {
        let source = Builder::new_local(from).build().await?.connect()?;
        let target = Builder::new_local(to).build().await?.connect()?;
        target.query("PRAGMA journal_mode=WAL", ()).await?.next().await?;
        target.execute("PRAGMA synchronous=FULL", ()).await?;
        let schema =
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
        for mut row in rows(&source, schema, 0).await? {
            let Some(Value::Text(sql)) = row.pop() else { continue };
            target.execute(&sql, ()).await?;
        }
        let mut bare = Bare {
            begin: target.prepare("BEGIN IMMEDIATE").await?,
            commit: target.prepare("COMMIT").await?,
            insert_event: target.prepare(&insert(&source, "events").await?).await?,
            insert_blob: target.prepare(&insert(&source, "blobs").await?).await?,
            source,
            _target: target,
            last: (0, 0),
        };
        bare.fetch().await?;
        Ok(bare)
    }

    /// The rows of events and of blobs that the server has written since.
    async fn fetch(&mut self) -> libsql::Result<(Vec<Vec<Value>>, Vec<Vec<Value>>)> {
        let events = "SELECT id, * FROM events WHERE id > ?1 ORDER BY id";
        let events = rows(&self.source, events, self.last.0).await?;
        let blobs = "SELECT rowid, * FROM blobs WHERE rowid > ?1 ORDER BY rowid";
        let blobs = rows(&self.source, blobs, self.last.1).await?;
        let number = |row: &Vec<Value>| row[0].as_integer().copied();
        self.last.0 = events.last().and_then(number).unwrap_or(self.last.0);
        self.last.1 = blobs.last().and_then(number).unwrap_or(self.last.1);
        let rest = |rows: Vec<Vec<Value>>| rows.into_iter().map(|row| row[1..].to_vec()).collect();
        Ok((rest(events), rest(blobs)))
    }

    /// Writes what the server has just written, each event in a transaction and its blob in the next;
    /// returns the microseconds that it takes.
    async fn follow(&mut self, count: usize, kind: &Kind) -> libsql::Result<f64> {
        let (events, blobs) = self.fetch().await?;
        let has_blobs = kind.text_bytes > 131_072;
        assert_eq!((events.len(), blobs.len()), (count, if has_blobs { count } else { 0 }));
        let mut result = Ok(());
        let us = time_us(|| {
            result = block_on(async {
                let mut blobs = blobs.into_iter();
                for event in events {
                    self.write(&self.insert_event, event).await?;
                    if let Some(blob) = blobs.next() {
                        self.write(&self.insert_blob, blob).await?;
                    }
                }
                Ok(())
            });
        });
        result.map(|()| us)
    }

    async fn write(&self, insert: &Statement, row: Vec<Value>) -> libsql::Result<()> {
        self.begin.execute(()).await?;
        self.begin.reset();
        insert.execute(Params::Positional(row)).await?;
        insert.reset();
        self.commit.execute(()).await?;
        self.commit.reset();
        Ok(())
    }
}

/// The statement that inserts a row into a table, whatever its columns.
async fn insert(database: &Database, table: &str) -> libsql::Result<String> {
    let columns = database.prepare(&format!("SELECT * FROM {table}")).await?.columns().len();
    Ok(format!("INSERT INTO {table} VALUES ({})", vec!["?"; columns].join(", ")))
}

async fn rows(database: &Database, sql: &str, after: i64) -> libsql::Result<Vec<Vec<Value>>> {
    let params = if sql.contains("?1") { vec![Value::Integer(after)] } else { Vec::new() };
    let mut found = database.query(sql, Params::Positional(params)).await?;
    let count = found.column_count();
    let mut rows = Vec::new();
    while let Some(row) = found.next().await? {
        rows.push((0..count).map(|index| row.get_value(index)).collect::<Result<_, _>>()?);
    }
    Ok(rows)
}
