//! The statements that are measured: for each row a transaction of three, all prepared once.
//!
//! **Invariant:** both databases get the same statements with the same values; only the URI and the
//! journal mode that goes with it differ.

use libsql::{Builder, Connection, Statement, Value, params::Params};
use stormglass_sim::{World, WorldOptions, block_on};

/// What a row holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// An event of the platform: nine short columns and a unique index over four of them.
    Event,
    /// A blob of so many bytes under a text key.
    Blob(usize),
}

/// The rows that are measured: their names, and the aim for what their transaction costs, in
/// instructions relative to `:memory:`.
pub const ROWS: [(&str, Row, f64); 3] = [
    ("event", Row::Event, 1.2),
    ("1 KiB", Row::Blob(1 << 10), 1.1),
    ("200 KiB", Row::Blob(200 << 10), 1.8),
];

const SCHEMA: &str = "
    CREATE TABLE events(
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, entity_type TEXT NOT NULL,
        entity_id TEXT NOT NULL, sequence_nr INTEGER NOT NULL, event_type TEXT NOT NULL,
        payload TEXT NOT NULL, metadata TEXT NOT NULL, created_at INTEGER NOT NULL,
        UNIQUE(tenant, entity_type, entity_id, sequence_nr));
    CREATE TABLE blobs(
        blob_key TEXT PRIMARY KEY, data BLOB NOT NULL, size_bytes INTEGER NOT NULL,
        created_at INTEGER NOT NULL, expires_at INTEGER);
    CREATE INDEX blobs_expiry ON blobs(expires_at) WHERE expires_at IS NOT NULL;";
const INSERT_EVENT: &str = "
    INSERT INTO events(tenant, entity_type, entity_id, sequence_nr, event_type, payload, metadata,
        created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const INSERT_BLOB: &str = "
    INSERT INTO blobs(blob_key, data, size_bytes, created_at, expires_at)
        VALUES (?1, ?2, ?3, ?4, NULL)";

/// The database's path on the simulated disk.
pub const PATH: &str = "/bench.db";
/// Its write-ahead log's.
pub const WAL_PATH: &str = "/bench.db-wal";

/// A world whose disk is measured.
pub fn world(keep_trace: bool) -> World {
    let options = WorldOptions { keep_trace, ..WorldOptions::default() };
    World::new(1, options).expect("a bench has one world at a time")
}

/// An open database and its prepared statements.
pub struct Table {
    connection: Connection,
    begin: Statement,
    insert: Statement,
    commit: Statement,
    row: Row,
    count: u64,
}

impl Table {
    /// A fresh database at `uri`.
    pub fn create(uri: &str, row: Row) -> Table {
        let connection = connect(uri);
        block_on(connection.query("PRAGMA journal_mode = WAL", ())).expect("memory says `memory`");
        pragma(&connection, "synchronous = FULL");
        block_on(connection.execute_batch(SCHEMA)).expect("the schema is SQL");
        let prepare = |sql| block_on(connection.prepare(sql)).expect("the statement is SQL");
        let insert = prepare(if row == Row::Event { INSERT_EVENT } else { INSERT_BLOB });
        let (begin, commit) = (prepare("BEGIN IMMEDIATE"), prepare("COMMIT"));
        Table { connection, begin, insert, commit, row, count: 0 }
    }

    /// A fresh database in libsql's own memory.
    pub fn in_memory(row: Row) -> Table {
        Table::create(":memory:", row)
    }

    /// A fresh database on the disk of `world`, whose first process this starts.
    pub fn on_disk(world: &World, row: Row) -> Table {
        Table::create(&world.boot().uri(PATH), row)
    }

    /// Inserts `count` more rows, each in a transaction of its own.
    pub fn insert(&mut self, count: u64) {
        for _ in 0..count {
            self.count += 1;
            run(&self.begin, Params::None);
            run(&self.insert, Params::Positional(self.values()));
            run(&self.commit, Params::None);
        }
    }

    /// The connection, for what no row does.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn values(&self) -> Vec<Value> {
        let text = |text: &str| Value::Text(text.to_string());
        let number = self.count as i64;
        match self.row {
            Row::Event => vec![
                text("tenant-1"),
                text("Order"),
                Value::Text(format!("order-{:06}", number / 8)),
                Value::Integer(number % 8),
                text("ItemAdded"),
                text(r#"{"item":"a small thing","quantity":3,"price":"12.50","currency":"EUR"}"#),
                text(r#"{"actor":"client-7","request":"0123456789abcdef"}"#),
                Value::Integer(1_767_225_600_000 + number),
            ],
            Row::Blob(size) => vec![
                Value::Text(format!("blob-{number:016x}")),
                Value::Blob(vec![number as u8; size]),
                Value::Integer(size as i64),
                Value::Integer(1_767_225_600_000 + number),
            ],
        }
    }
}

fn run(statement: &Statement, values: Params) {
    statement.reset();
    block_on(statement.execute(values)).expect("no row is there twice, and nobody else writes");
}

/// A connection to `uri`.
pub fn connect(uri: &str) -> Connection {
    let database = block_on(Builder::new_local(uri).build()).expect("the URI names a database");
    database.connect().expect("nothing keeps the database from opening")
}

/// Runs a pragma and takes its answer, if it has one.
pub fn pragma(connection: &Connection, text: &str) {
    let mut rows = block_on(connection.query(&format!("PRAGMA {text}"), ())).expect("a pragma");
    block_on(rows.next()).expect("a pragma answers");
}
