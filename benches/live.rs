//! What the deployed server makes of the disk it has: `cargo bench --profile dev --bench live`.
//!
//! Clients call actions over sockets; then libsql alone writes the very same rows with the same durability
//! (WAL, `synchronous=FULL`) to files beside it. They take turns of a fraction of a second, for a disk that others use is
//! now fast and now slow. A ratio is libsql's time over the server's, of all turns the median: 1.0 would
//! mean that all else is free.
//!
//! libsql has one connection and one thread, since it has one writer whatever it is given, prepared
//! statements, and nothing to do but its rows: it shares no core with clients. It writes them twice:
//! each action a transaction of its own, event and blob in one, which is what a caller of libsql does who
//! answers every action once it is durable, and what the aim is held against; and an action of each client in
//! one transaction, which no caller does, to tell what of the ratio comes from sharing commits alone.
//!
//! `-- overflow` plays the kind of that name alone. It fails when a ratio is below its aim. The server is built first by
//! `RUSTFLAGS= cargo build --release -p stormglass-platform --target-dir target/live`.
//!
//! **Invariant:** all sides write the same rows: libsql's are read from what the server wrote.

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
/// From here on a value overflows (contract, section 1).
const CEILING_BYTES: usize = 131_072;

/// One text under the default ceiling, and nothing else that an answer would have to read.
const SPEC: &str = r#"
[automaton]
name = "Page"
states = ["Open"]
initial = "Open"
allow_indefinite_states = ["Open"]

[[state]]
name = "text"
type = "string"
initial = ""

[[action]]
name = "Write"
kind = "input"
params = ["text"]
"#;

/// One kind of action.
struct Kind {
    name: &'static str,
    /// Bytes of the text that it brings.
    text_bytes: usize,
    clients: usize,
    /// Actions of each client in a turn.
    actions: usize,
    turns: usize,
    /// Turns before them, which do not count: until all logs have their length, for a file that grows is synced
    /// several times slower than one that is written anew.
    warm_up: usize,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "inline, 100 bytes",
        text_bytes: 100,
        clients: 8,
        actions: 20,
        turns: 60,
        warm_up: 20,
    },
    Kind {
        name: "overflow, 200 KiB",
        text_bytes: 200 << 10,
        clients: 8,
        actions: 6,
        turns: 30,
        warm_up: 2,
    },
    Kind {
        name: "inline, one client",
        text_bytes: 100,
        clients: 1,
        actions: 100,
        turns: 30,
        warm_up: 20,
    },
];

impl Kind {
    fn actions_per_turn(&self) -> usize {
        self.clients * self.actions
    }
}

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
    let specs = folder.join("specs");
    std::fs::write(specs.join("page.ioa.toml"), SPEC).expect("a spec can be added");
    let mut command = process::plain(&program);
    command.arg("--data").arg(folder.join("data")).arg("--specs").arg(specs);
    command.args(["--listen", "127.0.0.1:0", "--log-level", "error", "--idle", "1h"]);
    let server = Server::start(command).expect("the server comes up");
    let mut is_slow = false;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let is_wanted = |kind: &&Kind| {
        wanted.is_empty() || wanted.iter().any(|word| kind.name.starts_with(word.as_str()))
    };
    for kind in KINDS.iter().filter(is_wanted) {
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

/// All turns of one kind; returns the median ratio against libsql with a transaction for each action.
fn play(kind: &Kind, server: &Server, folder: &Path) -> f64 {
    let tenant = format!("k{}-{}", kind.text_bytes, kind.clients);
    let mut clients: Vec<Connection> = (0..kind.clients)
        .map(|client| {
            let mut connection = Connection::open(server.address()).expect("the server listens");
            let body = format!(r#"{{"Id":"p{client}"}}"#);
            ask(&mut connection, &request(&tenant, "/tdata/Pages", &body));
            connection
        })
        .collect();
    let files = (folder.join(format!("data/{tenant}.db")), folder.join(format!("{tenant}-bare")));
    let mut sides = block_on(Sides::open(&files.0, &files.1)).expect("libsql opens all files");
    let (mut served, mut alone, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..kind.warm_up + kind.turns {
        let actions: Vec<Vec<Request>> =
            (0..kind.clients).map(|client| actions(kind, &tenant, (client, turn))).collect();
        let served_us = time_us(|| {
            thread::scope(|scope| {
                for (connection, requests) in clients.iter_mut().zip(&actions) {
                    scope.spawn(move || requests.iter().for_each(|one| ask(connection, one)));
                }
            });
        });
        let (alone_us, shared_us) = block_on(sides.follow(kind)).expect("libsql reads and writes");
        if turn >= kind.warm_up {
            served.push(served_us);
            alone.push(alone_us);
            shared.push(shared_us);
        }
    }
    let rate =
        |us: &[f64]| (kind.actions_per_turn() * kind.turns) as f64 * 1e6 / us.iter().sum::<f64>();
    println!("{}, {} clients: server {:.0}/s", kind.name, kind.clients, rate(&served));
    let ratio = tell("an action a transaction", (rate(&alone), &alone), &served);
    if kind.clients > 1 {
        tell("as many as clients", (rate(&shared), &shared), &served);
    }
    ratio
}

/// Prints how one side of libsql compares; returns the median ratio.
fn tell(name: &str, (rate, bare_us): (f64, &[f64]), served_us: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = bare_us.iter().zip(served_us).map(|(bare, us)| bare / us).collect();
    ratios.sort_by(f64::total_cmp);
    let [low, median, high] = [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4]);
    println!(
        "  libsql, {name:<24} {rate:>6.0}/s  ratio {median:.2} (quartiles {low:.2} {high:.2})"
    );
    median
}

fn request(tenant: &str, target: &str, body: &str) -> Request {
    let request = Request::new(tenant, "POST", target.to_string());
    Request { body: body.into(), ..request }
}

fn actions(kind: &Kind, tenant: &str, (client, turn): (usize, usize)) -> Vec<Request> {
    let target = format!("/tdata/Pages('p{client}')/Temper.Write");
    let action = |number| {
        // No two bodies are equal: each becomes a row.
        let own = format!("{client}.{turn}.{number}.");
        let text = own.repeat(kind.text_bytes / own.len() + 1);
        let body = format!(r#"{{"text":"{}"}}"#, &text[..kind.text_bytes]);
        request(tenant, &target, &body)
    };
    (0..kind.actions).map(action).collect()
}

fn ask(connection: &mut Connection, request: &Request) {
    let reply = connection.ask(request).expect("the server answers");
    assert!(reply.status < 300, "{}", String::from_utf8_lossy(&reply.body));
}

/// What the server wrote, and libsql alone, which writes it again.
struct Sides {
    source: Database,
    /// The last rows that were read of it.
    last: (i64, i64),
    alone: Bare,
    shared: Bare,
}

type Row = Vec<Value>;

impl Sides {
    async fn open(from: &Path, to: &Path) -> libsql::Result<Sides> {
        let source = Builder::new_local(from).build().await?.connect()?;
        let alone = Bare::open(&source, &to.with_extension("alone.db")).await?;
        let shared = Bare::open(&source, &to.with_extension("shared.db")).await?;
        let mut sides = Sides { source, last: (0, 0), alone, shared };
        sides.fetch().await?;
        Ok(sides)
    }

    /// The rows of events and of blobs that the server has written since.
    async fn fetch(&mut self) -> libsql::Result<(Vec<Row>, Vec<Row>)> {
        let events = "SELECT id, * FROM events WHERE id > ?1 ORDER BY id";
        let events = rows(&self.source, events, self.last.0).await?;
        let blobs = "SELECT rowid, * FROM blobs WHERE rowid > ?1 ORDER BY rowid";
        let blobs = rows(&self.source, blobs, self.last.1).await?;
        let number = |row: &Row| row[0].as_integer().copied();
        self.last.0 = events.last().and_then(number).unwrap_or(self.last.0);
        self.last.1 = blobs.last().and_then(number).unwrap_or(self.last.1);
        let rest = |rows: Vec<Row>| rows.into_iter().map(|row| row[1..].to_vec()).collect();
        Ok((rest(events), rest(blobs)))
    }

    /// Writes what the server has just written; returns the microseconds that it takes with a transaction
    /// for each action, and with one for as many as there are clients.
    async fn follow(&mut self, kind: &Kind) -> libsql::Result<(f64, f64)> {
        let (events, blobs) = self.fetch().await?;
        let (count, has_blobs) = (kind.actions_per_turn(), kind.text_bytes > CEILING_BYTES);
        assert_eq!((events.len(), blobs.len()), (count, if has_blobs { count } else { 0 }));
        let mut blobs = blobs.into_iter();
        let actions = events.into_iter().map(|event| (event, blobs.next()));
        let actions: Vec<(Row, Option<Row>)> = actions.collect();
        let copy = actions.clone();
        Ok((self.alone.write(actions, 1)?, self.shared.write(copy, kind.clients)?))
    }
}

/// libsql alone, with a file of its own.
struct Bare {
    begin: Statement,
    commit: Statement,
    insert_event: Statement,
    insert_blob: Statement,
    _target: Database,
}

impl Bare {
    async fn open(source: &Database, to: &Path) -> libsql::Result<Bare> {
        let target = Builder::new_local(to).build().await?.connect()?;
        target.query("PRAGMA journal_mode=WAL", ()).await?.next().await?;
        target.execute("PRAGMA synchronous=FULL", ()).await?;
        let schema =
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
        for mut row in rows(source, schema, 0).await? {
            let Some(Value::Text(sql)) = row.pop() else { continue };
            target.execute(&sql, ()).await?;
        }
        Ok(Bare {
            begin: target.prepare("BEGIN IMMEDIATE").await?,
            commit: target.prepare("COMMIT").await?,
            insert_event: target.prepare(&insert(source, "events").await?).await?,
            insert_blob: target.prepare(&insert(source, "blobs").await?).await?,
            _target: target,
        })
    }

    /// Writes actions, so many to a transaction; returns the microseconds that it takes.
    fn write(&self, actions: Vec<(Row, Option<Row>)>, together: usize) -> libsql::Result<f64> {
        let mut result = Ok(());
        let us = time_us(|| result = block_on(self.write_all(actions, together)));
        result.map(|()| us)
    }

    async fn write_all(
        &self,
        actions: Vec<(Row, Option<Row>)>,
        together: usize,
    ) -> libsql::Result<()> {
        let count = actions.len();
        for (index, (event, blob)) in actions.into_iter().enumerate() {
            if index % together == 0 {
                run(&self.begin, Vec::new()).await?;
            }
            run(&self.insert_event, event).await?;
            if let Some(blob) = blob {
                run(&self.insert_blob, blob).await?;
            }
            if (index + 1) % together == 0 || index + 1 == count {
                run(&self.commit, Vec::new()).await?;
            }
        }
        Ok(())
    }
}

async fn run(statement: &Statement, values: Row) -> libsql::Result<()> {
    statement.execute(Params::Positional(values)).await?;
    statement.reset();
    Ok(())
}

/// The statement that inserts a row into a table, whatever its columns.
async fn insert(database: &Database, table: &str) -> libsql::Result<String> {
    let columns = database.prepare(&format!("SELECT * FROM {table}")).await?.columns().len();
    Ok(format!("INSERT INTO {table} VALUES ({})", vec!["?"; columns].join(", ")))
}

async fn rows(database: &Database, sql: &str, after: i64) -> libsql::Result<Vec<Row>> {
    let params = if sql.contains("?1") { vec![Value::Integer(after)] } else { Vec::new() };
    let mut found = database.query(sql, Params::Positional(params)).await?;
    let count = found.column_count();
    let mut rows = Vec::new();
    while let Some(row) = found.next().await? {
        rows.push((0..count).map(|index| row.get_value(index)).collect::<Result<_, _>>()?);
    }
    Ok(rows)
}
