//! The reader against SQLite itself, on the disks that random scripts leave behind.

use super::{Memory, ReadError, Row, Tables, Value};
use crate::block_on;
use crate::crash_state::{Ending, Survivors};
use crate::disk::{Disk, DiskOptions};
use crate::machine::Boot;
use crate::rng::Stream;
use crate::world::{World, WorldOptions};
use libsql::{Builder, Connection};
use std::collections::BTreeMap;

const PATH: &str = "/d/t.db";
const LOG: &str = "/d/t.db-wal";
const THINGS: [&str; 6] = ["id", "name", "body", "size", "note", "late"];
const LOOSE: [&str; 2] = ["a", "b c"];
const SCHEMA: &str = "
    CREATE TABLE things (
        id INTEGER PRIMARY KEY, -- the rowid
        name TEXT NOT NULL, \"body\" BLOB, size REAL DEFAULT (1 + 2),
        [note] TEXT CHECK (note <> 'a, b'), UNIQUE (name, id));
    CREATE INDEX things_by_size ON things (size, body);
    CREATE TABLE loose (a, `b c`)";

type Values = Vec<libsql::Value>;
type Rows = Vec<Values>;

fn connect(boot: &Boot) -> Connection {
    let database = block_on(Builder::new_local(boot.uri(PATH)).build()).expect("a URI");
    database.connect().expect("nothing fails here")
}

fn run(connection: &Connection, sql: &str) {
    let mut rows = block_on(connection.query(sql, ())).expect(sql);
    while block_on(rows.next()).expect(sql).is_some() {}
}

fn query(connection: &Connection, sql: &str) -> libsql::Result<Rows> {
    let mut rows = block_on(connection.query(sql, ()))?;
    let mut found = Vec::new();
    while let Some(row) = block_on(rows.next())? {
        found.push((0..row.column_count()).map(|at| row.get_value(at)).collect::<Result<_, _>>()?);
    }
    Ok(found)
}

/// What libsql finds after a kill, table by table; none for a table that is not there.
fn by_libsql(world: &World, disk: &Disk) -> libsql::Result<Vec<Option<Rows>>> {
    let _kept = world.keep_randomness();
    let machine = world.side_machine(disk.clone(), &Ending::ProcessKill);
    let connection = connect(&machine.boot());
    let names = query(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let has = |name: &str| names.contains(&vec![libsql::Value::Text(name.to_string())]);
    let things = has("things").then(|| {
        let late =
            query(&connection, "SELECT 1 FROM pragma_table_info('things') WHERE name='late'")?;
        let late = if late.is_empty() { "NULL" } else { "late" };
        query(
            &connection,
            &format!("SELECT id, name, body, size, note, {late} FROM things ORDER BY id"),
        )
    });
    let loose = has("loose").then(|| query(&connection, "SELECT * FROM loose ORDER BY rowid"));
    let found = vec![things.transpose()?, loose.transpose()?];
    machine.crash(&Ending::ProcessKill);
    Ok(found)
}

fn by_reader(disk: &Disk, memory: &mut Memory) -> Result<Vec<Option<Rows>>, ReadError> {
    let tables = Tables::open(disk, PATH, memory)?;
    let read = |table: &str, columns: &[&str]| {
        let mut rows = Rows::new();
        tables.rows(table, columns, |row| {
            rows.push((0..columns.len()).map(|at| value(row, at)).collect::<Result<_, _>>()?);
            Ok::<(), ReadError>(())
        })?;
        Ok::<Rows, ReadError>(rows)
    };
    let things = tables.has("things").then(|| match read("things", &THINGS) {
        Err(ReadError::Malformed(why)) if why == "no column `late`" => {
            let mut rows = read("things", &THINGS[..5])?;
            rows.iter_mut().for_each(|row| row.push(libsql::Value::Null));
            Ok(rows)
        }
        other => other,
    });
    let loose = tables.has("loose").then(|| read("loose", &LOOSE));
    Ok(vec![things.transpose()?, loose.transpose()?])
}

fn value(row: &Row<'_>, at: usize) -> Result<libsql::Value, ReadError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match row.value(at)? {
        Value::Null => libsql::Value::Null,
        Value::Integer(number) => libsql::Value::Integer(number),
        Value::Real(number) => libsql::Value::Real(number),
        Value::Text(bytes) => libsql::Value::Text(text(bytes)),
        Value::Blob(bytes) => libsql::Value::Blob(bytes.to_vec()),
    })
}

/// One random script with a look after each step.
struct Script<'w> {
    world: &'w World,
    stream: Stream,
    memory: Memory,
    known: BTreeMap<u64, Values>,
    known_count: usize,
    is_begun: bool,
    look_count: u32,
    refused_count: u32,
}

impl Script<'_> {
    fn new(world: &World) -> Script<'_> {
        let stream = world.seed().stream("script");
        Script {
            world,
            stream,
            memory: Memory::default(),
            known: BTreeMap::new(),
            known_count: 0,
            is_begun: false,
            look_count: 0,
            refused_count: 0,
        }
    }

    fn play(&mut self) {
        let boot = self.world.boot();
        let connection = connect(&boot);
        // Few pages in memory: a long transaction writes to the log before it commits.
        run(&connection, "PRAGMA cache_size = 4");
        let page_size = *self.stream.pick(&[4096, 4096, 4096, 512, 1024, 65536]);
        run(&connection, &format!("PRAGMA page_size = {page_size}"));
        let mode = *self.stream.pick(&["WAL", "WAL", "WAL", "WAL", "DELETE", "PERSIST"]);
        run(&connection, &format!("PRAGMA journal_mode = {mode}"));
        run(&connection, "PRAGMA wal_autocheckpoint = 40");
        self.look(&self.world.image());
        for statement in SCHEMA.split(';') {
            run(&connection, statement);
            self.look(&self.world.image());
        }
        for _ in 0..self.stream.below(25) {
            self.step(&connection);
            let image = self.world.image();
            self.look(&image);
            let mut later = image.clone();
            let survivors = Survivors::Drawn(self.stream.below(1_000_000));
            later.crash(&Ending::PowerLoss(survivors));
            self.look(&later);
            self.damage(image);
        }
        self.world.crash(&Ending::ProcessKill);
        drop(connection);
        self.is_begun = false;
    }

    fn step(&mut self, connection: &Connection) {
        let number = self.stream.below(30);
        match self.stream.below(12) {
            0..=4 => self.insert(connection, number),
            5 => run(connection, &format!("DELETE FROM things WHERE id % 3 = {}", number % 3)),
            6 => {
                let sql = "UPDATE things SET size = 7, body = zeroblob(%) WHERE id = #";
                let size = (number * 700).to_string();
                run(connection, &sql.replace('%', &size).replace('#', &number.to_string()));
            }
            7 if !self.is_begun => run(connection, "PRAGMA wal_checkpoint(TRUNCATE)"),
            8 if !self.is_begun => run(connection, "PRAGMA wal_checkpoint(PASSIVE)"),
            9 => {
                let late = "SELECT 1 FROM pragma_table_info('things') WHERE name = 'late'";
                if query(connection, late).expect("a pragma").is_empty() {
                    run(connection, "ALTER TABLE things ADD COLUMN late TEXT");
                }
            }
            _ => {
                let end = if number < 5 { "ROLLBACK" } else { "COMMIT" };
                run(connection, if self.is_begun { end } else { "BEGIN" });
                self.is_begun = !self.is_begun;
            }
        }
    }

    fn insert(&mut self, connection: &Connection, number: u64) {
        let most = *self.stream.pick(&[0, 1, 60, 4_000, 9_000, 70_000, 204_800]);
        let size = self.stream.below(most + 1);
        let integers = [0, 1, -1, 127, 128, -32_769, 1 << 23, 1 << 33, i64::MIN, i64::MAX];
        let integer = *self.stream.pick(&integers);
        run(
            connection,
            &format!(
                "INSERT INTO things (name, body, size, note)
                VALUES ('n{number}\u{e9}', randomblob({size}), {integer}, hex(zeroblob({})))",
                self.stream.below(most / 2 + 1)
            ),
        );
        if number.is_multiple_of(4) {
            run(connection, &format!("INSERT INTO loose VALUES (-0.5 * {number}, {integer})"));
            run(connection, "INSERT INTO loose VALUES (NULL, 'caf\u{e9}')");
        }
    }

    /// What SQLite reads, this reads, from memory and without.
    fn look(&mut self, disk: &Disk) {
        self.look_count += 1;
        let found = by_reader(disk, &mut self.memory);
        if let Ok(found) = &found {
            self.look_at_changes(disk, found[0].as_deref());
        }
        assert_eq!(found, by_reader(disk, &mut Memory::default()), "a memory changes nothing");
        match (by_libsql(self.world, disk), found) {
            (_, Err(ReadError::Unknown("rollback journals"))) => self.refused_count += 1,
            (Ok(expected), found) => {
                assert_eq!(found, Ok(expected), "seed {:?}", self.world.seed())
            }
            // What SQLite refuses may be refused with other words, or in another table.
            (Err(_), _) => {}
        }
    }

    /// A row that is said to be known is what it was.
    fn look_at_changes(&mut self, disk: &Disk, things: Option<&[Values]>) {
        let tables = Tables::open(disk, PATH, &mut self.memory).expect("it was read before");
        let Some(expected) = things else { return };
        let mut found = BTreeMap::new();
        let known = &self.known;
        let is_known = |number| known.contains_key(&number);
        let mut order = Vec::new();
        tables
            .changed_rows("things", &THINGS[..5], is_known, |number, row| {
                let values = match row {
                    Some(row) => (0..5).map(|at| value(row, at)).collect::<Result<Values, _>>()?,
                    None => known[&number].clone(),
                };
                order.push(number);
                assert!(found.insert(number, values).is_none(), "a number stands for one record");
                Ok::<(), ReadError>(())
            })
            .expect("it was read before");
        let rows: Rows = order.iter().map(|number| found[number].clone()).collect();
        let expected: Rows = expected.iter().map(|row| row[..5].to_vec()).collect();
        assert_eq!(rows, expected, "seed {:?}", self.world.seed());
        self.known_count += order.iter().filter(|number| self.known.contains_key(number)).count();
        self.known = found;
    }

    /// Bytes that nobody wrote make errors or rows, and never a panic.
    fn damage(&mut self, mut disk: Disk) {
        for path in [PATH, LOG] {
            let Some(file) = disk.find(path).filter(|file| disk.len(*file) > 0) else { continue };
            for _ in 0..3 {
                let at = self.stream.below(disk.len(file).min(9_000));
                let bytes: Vec<u8> = (0..4).map(|_| self.stream.below(256) as u8).collect();
                disk.write(file, at, &bytes).expect("there is no quota");
                let _ = by_reader(&disk, &mut self.memory);
            }
        }
    }
}

fn play(seed: u64) -> (u32, u32, usize) {
    let world = World::new(seed, WorldOptions::default()).expect("one world at a time");
    let mut script = Script::new(&world);
    script.play();
    script.play_again();
    (script.look_count, script.refused_count, script.known_count)
}

impl Script<'_> {
    /// A recovery on what the first process left, and more of the same.
    fn play_again(&mut self) {
        self.look(&self.world.image());
        let connection = connect(&self.world.boot());
        run(&connection, "SELECT * FROM things");
        for _ in 0..self.stream.below(10) {
            self.step(&connection);
            self.look(&self.world.image());
        }
        self.world.crash(&Ending::ProcessKill);
    }
}

/// Goal: rows read by the file format are those that SQLite reads. Method: random scripts (records of
/// up to 200 KiB, deletions, transactions that spill and are rolled back, checkpoints, added columns,
/// page sizes, journal modes), each image as a kill and as a torn power loss leaves it, by both.
#[test]
fn what_sqlite_reads_on_any_image_this_reads() {
    let (mut look_count, mut refused_count, mut known_count) = (0, 0, 0);
    for seed in 0..60 {
        let (looks, refused, known) = play(seed);
        (look_count, refused_count) = (look_count + looks, refused_count + refused);
        known_count += known;
    }
    assert!(known_count > 1_000, "{known_count} records were known");
    assert!(refused_count * 3 < look_count, "{refused_count} of {look_count} refused");
}

#[test]
fn a_file_that_is_not_there_has_no_tables() {
    let disk = Disk::new(DiskOptions::default());
    assert_eq!(by_reader(&disk, &mut Memory::default()), Ok(vec![None, None]));
}
