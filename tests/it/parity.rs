//! The simulated VFS against SQLite's unix VFS: the same SQL gives the same on both.
//!
//! Each script runs twice, through one VFS that passes every call on and writes it down: once over
//! the simulated disk, once over a directory of the real one. Compared are every answer and error,
//! the bytes of every file (inside transactions where the script says so, before and after the last
//! connection closes), and the whole sequence of calls with arguments, bytes and results.
//!
//! Made equal beforehand: both sides use the same path (a journal may hold the name of another
//! file), the same random numbers (a world is made for either side), the same time (the shim's) and
//! a sector of 4096 bytes (what the unix VFS always reports). Left out:
//! - The contents of the `-shm` file, which is memory in the simulation.
//! - `xFileControl`, which SQLite also uses for hints that a VFS may ignore; what its answers lead
//!   to is seen in the calls that follow.
//! - `xCurrentTime`, `xSleep`, `xRandomness`: not the disk's business.

mod beneath;
mod contention;
mod random;
mod scripts;

use crate::passthrough::{Lie, Passthrough, Tampering, TemporaryFiles};
use scripts::Script;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use stormglass_sim::{Boot, Digest, DiskOptions, OpenMode, World, WorldOptions, block_on};

const SEED: u64 = 0x5eed;
/// The VFS that both sides open their databases with.
const SHIM: &str = "parity";
/// Values longer than this are compared by hash.
const SHOWN_BYTES: usize = 40;
/// Calls before a difference that a report shows.
const CONTEXT: usize = 8;

type Contents = BTreeMap<String, Vec<u8>>;

/// Everything seen of one run of a script.
#[derive(Debug, PartialEq, Eq)]
struct Observed {
    answers: Vec<String>,
    files: Vec<Contents>,
    calls: Vec<String>,
}

/// What differs between two runs, each as a report: empty where nothing does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    answers: String,
    files: String,
    calls: String,
}

impl Differences {
    fn between(sim: &Observed, unix: &Observed) -> Differences {
        let files = sim.files.iter().zip(&unix.files).enumerate();
        let files = files.map(|(look, (sim, unix))| file_difference(look, sim, unix)).collect();
        Differences {
            answers: first_difference(&sim.answers, &unix.answers),
            files,
            calls: first_difference(&sim.calls, &unix.calls),
        }
    }
}

/// The first line in which the two differ, with the lines that lead to it.
fn first_difference(sim: &[String], unix: &[String]) -> String {
    let same = sim.iter().zip(unix).take_while(|(sim, unix)| sim == unix).count();
    if same == sim.len() && same == unix.len() {
        return String::new();
    }
    let mut report = format!("difference in line {same}, after\n");
    for line in &sim[same.saturating_sub(CONTEXT)..same] {
        report += &format!("        {line}\n");
    }
    for (side, lines) in [("sim ", sim), ("unix", unix)] {
        for line in lines.iter().skip(same).take(3) {
            report += &format!("  {side}  {line}\n");
        }
    }
    report
}

fn file_difference(look: usize, sim: &Contents, unix: &Contents) -> String {
    let (sim_names, unix_names): (Vec<_>, Vec<_>) = (sim.keys().collect(), unix.keys().collect());
    if sim_names != unix_names {
        return format!("look {look}: files sim {sim_names:?}, unix {unix_names:?}\n");
    }
    let mut report = String::new();
    for ((name, sim), unix) in sim.iter().zip(unix.values()).filter(|((_, sim), unix)| sim != unix)
    {
        let same = sim.iter().zip(unix).take_while(|(sim, unix)| sim == unix).count();
        let (sim_len, unix_len) = (sim.len(), unix.len());
        report += &format!(
            "look {look}: {name} differs from byte {same} on; sim {sim_len}, unix {unix_len}\n"
        );
    }
    report
}

/// The files of one side, past the VFS.
trait Files {
    /// Names, without the directory, and contents.
    fn all(&self) -> Contents;

    /// Makes or replaces a file.
    fn put(&self, name: &str, bytes: &[u8]);
}

/// A fresh directory of the real disk, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stormglass-parity-{}-{number}", std::process::id());
        // In memory where the system offers that: no power is cut here, and waiting for a real
        // disk's syncs took most of the time. The unix VFS does not look at what the disk
        // is.
        let places = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
        let made = places.into_iter().find_map(|place| {
            // The unix VFS resolves symbolic links and the simulated disk has none.
            let path = place.canonicalize().ok()?.join(&name);
            std::fs::create_dir(&path).ok().map(|()| path)
        });
        Directory(made.expect("there is a directory for temporary files"))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }
}

impl Files for Directory {
    fn all(&self) -> Contents {
        let entries = std::fs::read_dir(&self.0).expect("the directory is there");
        let paths = entries.map(|entry| entry.expect("an entry can be read").path());
        let named = paths.map(|path| (name_of(&path), std::fs::read(&path).expect("it is a file")));
        named.filter(|(name, _)| !name.ends_with("-shm")).collect()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).expect("the directory can be written to");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the directory of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A world's disk.
struct Simulated<'a> {
    world: &'a World,
    boot: Boot,
    directory: &'a str,
}

impl Files for Simulated<'_> {
    fn all(&self) -> Contents {
        let image = self.world.image();
        let contents = |path: &str| image.contents(path).expect("it was just listed");
        image.paths().map(|path| (name_of(Path::new(path)), contents(path))).collect()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = format!("{}/{name}", self.directory);
        let file = self.boot.open(&path, OpenMode::Create).expect("no fault is armed");
        file.truncate(0).expect("no fault is armed");
        file.write(0, bytes).expect("no fault is armed");
    }
}

/// One of a script's connections, with a cursor that it may hold open.
struct Client {
    held: Option<libsql::Rows>,
    connection: libsql::Connection,
}

struct Run<'a> {
    shim: &'a Passthrough,
    directory: &'a str,
    disk: &'a dyn Files,
    clients: BTreeMap<String, Client>,
    answers: Vec<String>,
    files: Vec<Contents>,
}

impl Run<'_> {
    async fn step(&mut self, step: &str) {
        self.shim.mark(step);
        let (who, what) = step.split_once(' ').expect("a step says who and what");
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        let answer = match verb {
            "look" => {
                self.files.push(self.disk.all());
                Ok(Vec::new())
            }
            "copy" => {
                self.copy();
                Ok(Vec::new())
            }
            "close" => {
                self.clients.remove(who);
                Ok(Vec::new())
            }
            "open" => self.open(who, rest).await.map(|_| Vec::new()),
            "hold" => self.hold(who, rest).await,
            "release" => {
                self.client(who).await.expect("it holds a cursor").held = None;
                Ok(Vec::new())
            }
            _ => self.query(who, what).await,
        };
        let answer = answer.unwrap_or_else(|error| vec![error]);
        self.answers.push(format!("{step} => {}", answer.join("; ")));
    }

    /// Copies the files of `x.db` to `z.db`, in place of any that were there.
    fn copy(&self) {
        for (name, bytes) in self.disk.all() {
            if let Some(suffix) = name.strip_prefix("x.db") {
                self.disk.put(&format!("z.db{suffix}"), &bytes);
            }
        }
    }

    async fn open(&mut self, who: &str, what: &str) -> Result<&mut Client, String> {
        let (name, parameters) = what.split_once('?').unwrap_or((what, ""));
        let name = if name.is_empty() { "x.db" } else { name };
        let uri = format!("file:{}/{name}?vfs={SHIM}&{parameters}", self.directory);
        let database = libsql::Builder::new_local(uri).build().await.map_err(shown_error)?;
        let connection = database.connect().map_err(shown_error)?;
        self.clients.insert(who.to_string(), Client { held: None, connection });
        Ok(self.clients.get_mut(who).expect("it was just put there"))
    }

    /// The connection of `who`, opened when it is first used.
    async fn client(&mut self, who: &str) -> Result<&mut Client, String> {
        if self.clients.contains_key(who) {
            return Ok(self.clients.get_mut(who).expect("it is there"));
        }
        self.open(who, "").await
    }

    async fn start(&mut self, who: &str, sql: &str) -> Result<libsql::Rows, String> {
        let sql = sql.replace('@', &format!("{}/", self.directory));
        let client = self.client(who).await?;
        client.connection.query(&sql, ()).await.map_err(shown_error)
    }

    async fn query(&mut self, who: &str, sql: &str) -> Result<Vec<String>, String> {
        let mut rows = self.start(who, sql).await?;
        let mut shown = Vec::new();
        loop {
            match rows.next().await {
                Ok(Some(row)) => shown.push(shown_row(&row)),
                Ok(None) => return Ok(shown),
                Err(error) => return Err(format!("{}; {}", shown.join("; "), shown_error(error))),
            }
        }
    }

    /// Reads one row and keeps the cursor where it is.
    async fn hold(&mut self, who: &str, sql: &str) -> Result<Vec<String>, String> {
        let mut rows = self.start(who, sql).await?;
        let row = rows.next().await.map_err(shown_error)?;
        let shown = row.iter().map(shown_row).collect();
        drop(row);
        self.client(who).await?.held = Some(rows);
        Ok(shown)
    }
}

fn shown_error(error: libsql::Error) -> String {
    match error {
        libsql::Error::SqliteFailure(code, message) => format!("error {code} ({message})"),
        other => format!("error ({other})"),
    }
}

fn shown_row(row: &libsql::Row) -> String {
    let values = (0..row.column_count()).map(|index| row.get_value(index).map(shown_value));
    values.map(|value| value.unwrap_or_else(shown_error)).collect::<Vec<_>>().join(", ")
}

fn shown_value(value: libsql::Value) -> String {
    match value {
        libsql::Value::Blob(bytes) => format!("blob {} {}", bytes.len(), Digest::of(&bytes)),
        libsql::Value::Text(text) if text.len() > SHOWN_BYTES => {
            format!("text {} {}", text.len(), Digest::of(text.as_bytes()))
        }
        other => format!("{other:?}"),
    }
}

/// Runs `script` over the VFS `base`, whose files are those of `disk`.
fn run(script: &Script, base: (&str, Tampering), directory: &str, disk: &dyn Files) -> Observed {
    let shim = Passthrough::new(SHIM, base.0, base.1);
    let (clients, answers, files) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut run = Run { shim: &shim, directory, disk, clients, answers, files };
    block_on(async {
        for step in &script.steps {
            run.step(step).await;
        }
        run.step("all look").await;
        for who in run.clients.keys().cloned().collect::<Vec<_>>() {
            run.step(&format!("{who} close")).await;
        }
        run.step("all look").await;
    });
    let Run { answers, files, .. } = run;
    Observed { answers, files, calls: shim.calls() }
}

fn world(script: &Script) -> World {
    let disk = DiskOptions {
        // SQLITE_DEFAULT_SECTOR_SIZE, which the unix VFS reports for every disk.
        sector_size_bytes: 4096,
        powersafe_overwrite: script.powersafe_overwrite,
        ..DiskOptions::default()
    };
    World::new(SEED, WorldOptions { disk, ..WorldOptions::default() }).expect("one world a test")
}

/// Runs `script` on the simulated disk, `tampering` in between.
fn run_simulated(script: &Script, directory: &Directory, tampering: Tampering) -> Observed {
    let (world, directory) = (world(script), directory.path());
    let boot = world.boot();
    let uri = boot.uri("/x.db");
    let (_, vfs) = uri.split_once("vfs=").expect("the address names the boot's VFS");
    run(script, (vfs, tampering), directory, &Simulated { world: &world, boot, directory })
}

/// Runs `script` on the real disk. The world is here for its random numbers and for being alone.
fn run_real(script: &Script, directory: &Directory) -> Observed {
    let _world = world(script);
    let _temporary = TemporaryFiles::into(&directory.0);
    run(script, ("unix", None), directory.path(), directory)
}

/// Checks that each of `scripts` does the same on both disks, and returns all answers.
fn check(scripts: &[Script]) -> Vec<String> {
    let mut answers = Vec::new();
    let mut call_count = 0;
    for script in scripts {
        let directory = Directory::new();
        let sim = run_simulated(script, &directory, None);
        let unix = run_real(script, &directory);
        let differences = Differences::between(&sim, &unix);
        assert!(
            differences == Differences::default(),
            "script `{}` differs\nin its answers: {}\nin its files: {}\nin its calls: {}",
            script.name,
            differences.answers,
            differences.files,
            differences.calls,
        );
        assert!(sim.calls.len() > 50, "script `{}` hardly uses the disk", script.name);
        call_count += sim.calls.len();
        answers.extend(sim.answers);
    }
    println!("{} scripts, {call_count} calls", scripts.len());
    answers
}

fn with<'a>(what: &str, answers: &'a [String]) -> Vec<&'a String> {
    answers.iter().filter(|answer| answer.contains(what)).collect()
}

#[test]
fn write_ahead_logs_are_as_on_unix() {
    let answers = check(&scripts::write_ahead_logs());
    assert_eq!(with("error", &answers), Vec::<&String>::new());
}

#[test]
fn rollback_journals_are_as_on_unix() {
    let answers = check(&scripts::rollback_journals());
    assert_eq!(with("error", &answers), Vec::<&String>::new());
}

#[test]
fn several_databases_and_temporary_files_are_as_on_unix() {
    let answers = check(&scripts::several_files());
    assert_eq!(with("error", &answers), Vec::<&String>::new());
}

#[test]
fn contending_connections_are_answered_as_on_unix() {
    let answers = check(&contention::contention());
    assert!(with("error 5 ", &answers).len() > 20, "connections were hardly ever refused");
    assert!(!with("error 517 ", &answers).is_empty(), "no snapshot was too old to write from");
}

#[test]
fn random_scripts_are_as_on_unix() {
    let answers = check(&(0..40).map(random::script).collect::<Vec<_>>());
    assert!(with("error 5 ", &answers).len() > 100, "connections were hardly ever refused");
}

/// Goal: none of the three comparisons is blind. Method: one lie a run, each seen by its own.
#[test]
fn a_planted_difference_is_noticed() {
    let script = scripts::self_check();
    let directory = Directory::new();
    let unix = run_real(&script, &directory);
    let nth = |method: &str, which: &str| {
        let calls = unix.calls.iter().filter(|call| call.contains(method));
        1 + calls.take_while(|call| !call.contains(which)).count() as u32
    };
    let differences =
        |tampering| Differences::between(&run_simulated(&script, &directory, tampering), &unix);

    assert_eq!(differences(None), Differences::default());

    let one_sync_less = differences(Some((Lie::SkipSync, nth("xSync", "x.db-wal xSync"))));
    let missing = one_sync_less.calls.lines().find(|line| line.starts_with("  unix"));
    assert!(missing.is_some_and(|line| line.contains("x.db-wal xSync")), "{one_sync_less:?}");
    assert_eq!((one_sync_less.answers, one_sync_less.files), (String::new(), String::new()));

    let lost_write = differences(Some((Lie::LoseWrite, nth("xWrite", "x.db-wal xWrite"))));
    assert!(lost_write.files.contains("x.db-wal differs from byte 0 on"), "{lost_write:?}");

    let refused_lock = differences(Some((Lie::RefuseLock, 1)));
    assert!(refused_lock.answers.contains("error 5 "), "{refused_lock:?}");
}
