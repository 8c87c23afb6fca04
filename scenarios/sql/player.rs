//! Plays a SQL script on a world of its own and says whether it kept its promises.

use super::database::{TABLE, ask_time_and_number, body, drain, look, read_all, said, word};
use super::oracle::{Change, Oracle, State, in_words, one_of};
use super::script::{Script, Step};
use crate::faults;
use crate::planted::{self, Place};
use crate::threads::Threads;
use crate::times::since_start;
use crate::verdict::{Finding, Outcome, Played, Verdict, count_faults};
use libsql::Connection;
use std::collections::BTreeMap;
use stormglass_model::words::utc;
use stormglass_sim::disk::DiskOptions;
use stormglass_sim::{Boot, Digest, Ending, World, WorldError, WorldOptions, block_on};

pub const PATH: &str = "/script.db";
/// Boots that may fail to come up before the faults are taken away.
const FAILED_BOOTS_MAX: u32 = 8;

/// Plays `script`. With `keep_trace`, the records come along.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play(script: &Script, keep_trace: bool) -> Result<Played, WorldError> {
    let options = WorldOptions { disk: script.disk, keep_trace, ..WorldOptions::default() };
    let world = World::new(script.seed.0, options)?;
    let mut player = Player::new(script, &world);
    let threads = Threads::now();
    let verdict = match block_on(player.play()) {
        Ok(()) => Verdict::Passed,
        Err(finding) => Verdict::Violated(finding),
    };
    // Whatever else was found, nobody can be accused of it.
    let verdict = threads.started().map_or(verdict, Verdict::HarnessBroken);
    let disk = matches!(verdict, Verdict::Violated(_)).then(|| world.image());
    let (mut counts, story) = (player.counts, player.story);
    count_faults(&mut counts, &world.ledger());
    let outcome = Outcome {
        verdict,
        fingerprint: world.fingerprint().to_string(),
        op_count: world.op_count(),
        counts,
        trail: Default::default(),
    };
    let (records, scenes) = (world.records(), world.scenes());
    let told_count = records.len();
    Ok(Played { outcome, story, records, disk, moved: Vec::new(), scenes, told_count })
}

/// One connection and the transaction on it.
struct Client {
    connection: Connection,
    transaction: Transaction,
}

enum Transaction {
    None,
    /// What a write transaction has done so far.
    Writes(Change),
    /// What a read transaction saw first.
    Reads(State),
}

struct Player<'a> {
    script: &'a Script,
    world: &'a World,
    oracle: Oracle,
    boot: Option<Boot>,
    clients: Vec<Option<Client>>,
    step: usize,
    crash_count: usize,
    counts: BTreeMap<String, u64>,
    story: Vec<String>,
}

type Checked<T> = Result<T, Finding>;

impl<'a> Player<'a> {
    fn new(script: &'a Script, world: &'a World) -> Player<'a> {
        for fault in &script.faults {
            world.arm(fault.clone());
        }
        Player {
            script,
            world,
            oracle: Oracle::new(script.may_lose_commits()),
            boot: None,
            clients: Vec::new(),
            step: 0,
            crash_count: 0,
            counts: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    async fn play(&mut self) -> Checked<()> {
        let Script { journal, synchronous, disk, connections, .. } = self.script;
        let DiskOptions { sector_size_bytes, powersafe_overwrite, quota_bytes } = disk;
        let beside = if *powersafe_overwrite { "kept" } else { "lost" };
        let quota = quota_bytes.map_or(String::new(), |max| format!(", at most {max} bytes"));
        self.tell(format!(
            "{connections} connections, journal {}, synchronous {}, sectors of {sector_size_bytes} bytes, \
             {beside} beside a torn write{quota}",
            journal.word(),
            synchronous.word()
        ));
        for fault in &self.script.faults {
            self.tell(format!("fault armed: {}", faults::in_words(fault)));
        }
        self.recover().await?;
        for (at, step) in self.script.steps.iter().enumerate() {
            self.step = at + 1;
            self.world.enter(&format!("step {}", self.step));
            self.take(step).await?;
            if !self.world.is_running() {
                self.recover().await?;
            }
            if self.oracle.is_lost() {
                self.tell("cut short: too much is in doubt".to_string());
                break;
            }
        }
        self.world.disarm_all();
        self.world.set_quota(None);
        self.end_boot(&Ending::ProcessKill);
        self.recover().await?;
        self.read(0).await
    }

    /// Looks at what the crash left, then starts boots until one comes up.
    async fn recover(&mut self) -> Checked<()> {
        for attempt in 1.. {
            self.look_at_the_disk().await?;
            if attempt > FAILED_BOOTS_MAX {
                self.world.disarm_all();
                self.world.set_quota(None);
            }
            self.clients.clear();
            let boot = self.world.boot();
            self.world.enter(&format!("recovery {}", boot.number()));
            self.boot = Some(boot);
            let mut up = Ok(());
            for _ in 0..self.script.connections {
                match self.connect().await {
                    Ok(client) => self.clients.push(Some(client)),
                    Err(error) => up = Err(error),
                }
            }
            match up {
                Ok(()) if self.world.is_running() => break,
                result => {
                    let why = result.err().map_or("crashed", |error| word(&error));
                    self.tell(format!("boot did not come up: {why}"));
                    if self.world.is_running() {
                        self.end_boot(&Ending::ProcessKill);
                    }
                }
            }
        }
        self.tell("server up".to_string());
        Ok(())
    }

    async fn connect(&self) -> libsql::Result<Client> {
        let boot = self.boot.as_ref().expect("connections are made after the boot");
        let store = libsql::Builder::new_local(boot.uri(PATH)).build().await?;
        let connection = store.connect()?;
        for (setting, value) in [
            ("page_size", self.script.page_size_bytes.to_string()),
            ("journal_mode", self.script.journal.word().to_string()),
            ("synchronous", self.script.synchronous.word().to_string()),
            ("wal_autocheckpoint", self.script.autocheckpoint_pages.to_string()),
            ("cache_size", self.script.cache_pages.to_string()),
        ] {
            let mut rows = connection.query(&format!("PRAGMA {setting} = {value}"), ()).await?;
            while rows.next().await?.is_some() {}
        }
        connection.execute(TABLE, ()).await?;
        Ok(Client { connection, transaction: Transaction::None })
    }

    /// Checks what the disk holds, on a machine of its own, as if the process had just been killed.
    async fn look_at_the_disk(&mut self) -> Checked<()> {
        let crashes = self.world.crashes();
        let Some(last) = crashes.last() else { return Ok(()) };
        if crashes.len() == self.crash_count {
            return Ok(());
        }
        let power_lost =
            crashes[self.crash_count..].iter().any(|crash| crash.ending != Ending::ProcessKill);
        self.crash_count = crashes.len();
        self.tell(format!("crash after disk operation {}: {:?}", last.op, last.ending));

        let kept = self.world.keep_randomness();
        let machine = self.world.side_machine(self.world.image(), &Ending::ProcessKill);
        machine.set_quota(None);
        let looked = look(&machine).await;
        drop(kept);
        let (integrity, state) = match looked {
            Ok(found) => found,
            Err(error) => {
                let actual = format!("reading it fails: {error}");
                return Err(self.broken("database-opens-after-crash", "it opens", actual));
            }
        };
        self.world.check("integrity", &integrity);
        if integrity != "ok" {
            return Err(self.broken("database-keeps-integrity", "ok", integrity));
        }
        self.world.check("survivors", in_words(&state));
        let allowed: Vec<State> = self.oracle.survivors(power_lost).collect();
        if self.oracle.crashed(power_lost, &state) {
            return Ok(());
        }
        let invariant = "committed-transaction-survives";
        Err(self.broken(invariant, &one_of(&allowed), in_words(&state)))
    }

    async fn take(&mut self, step: &Step) -> Checked<()> {
        match step {
            Step::Begin { connection } => self.begin(*connection).await,
            Step::Insert { connection, rows, body_bytes } => {
                self.insert(*connection, u32::from(*rows), *body_bytes).await;
            }
            Step::Erase { connection, pick } => self.erase(*connection, *pick).await,
            Step::Commit { connection } => self.commit(*connection).await,
            Step::Rollback { connection } => self.rollback(*connection).await,
            Step::Read { connection } => return self.read(*connection).await,
            Step::HoldRead { connection } => return self.hold_read(*connection).await,
            Step::Ask { connection } => return self.ask(*connection).await,
            Step::Checkpoint { connection, mode } => {
                let sql = format!("PRAGMA wal_checkpoint({mode})");
                self.query_and_forget(*connection, &sql).await;
            }
            Step::Reconnect { connection } => self.reconnect(*connection).await,
            Step::Wait { ms } => self.world.clock().advance(*ms),
            Step::StepClock { ms } => self.world.step_clock(*ms),
            Step::Crash { ending } => self.end_boot(ending),
        }
        Ok(())
    }

    async fn begin(&mut self, connection: usize) {
        if let Some(client) = self.idle(connection)
            && self.run(connection, &client, "BEGIN IMMEDIATE").await.is_ok()
        {
            self.set(connection, Transaction::Writes(Change::default()));
        }
    }

    async fn insert(&mut self, connection: usize, rows: u32, body_bytes: u32) {
        let Some((client, mut change)) = self.writing(connection) else { return };
        let batch = self.step as u32;
        for n in 0..rows {
            let body = body(batch, n, body_bytes);
            let digest = Digest::of(&body);
            let added =
                client.execute("INSERT INTO entries VALUES (?1, ?2, ?3)", (batch, n, body)).await;
            self.answer(connection, "INSERT", said(&added));
            if added.is_err() {
                return self.give_up(connection, &client).await;
            }
            change.added.entry(batch).or_default().insert(n, digest);
        }
        self.set(connection, Transaction::Writes(change));
    }

    async fn erase(&mut self, connection: usize, pick: u32) {
        let Some((client, mut change)) = self.writing(connection) else { return };
        let there = self.oracle.possible().next().unwrap_or_default();
        let batches: Vec<u32> = there.keys().copied().collect();
        let Some(batch) = batches.get(pick as usize % batches.len().max(1)) else { return };
        let erased = client.execute("DELETE FROM entries WHERE batch = ?1", [*batch]).await;
        self.answer(connection, "DELETE", said(&erased));
        if erased.is_err() {
            return self.give_up(connection, &client).await;
        }
        change.removed.insert(*batch);
        self.set(connection, Transaction::Writes(change));
    }

    /// A statement failed: whatever the transaction did is taken back, and nobody was promised it.
    async fn give_up(&mut self, connection: usize, client: &Connection) {
        // SQLite may have rolled back by itself, in which case this is refused.
        let _ = self.run(connection, client, "ROLLBACK").await;
        self.set(connection, Transaction::None);
        self.replace_if_stuck(connection).await;
    }

    async fn commit(&mut self, connection: usize) {
        let Some((client, change)) = self.writing(connection) else { return };
        match self.run(connection, &client, "COMMIT").await {
            Ok(_) => {
                self.oracle.committed(&change);
                self.set(connection, Transaction::None);
            }
            // A reader is in the way: the transaction is still open.
            Err(error) if word(&error) == "busy" => {}
            Err(_) => {
                self.oracle.in_doubt(&change);
                self.give_up(connection, &client).await;
            }
        }
    }

    async fn rollback(&mut self, connection: usize) {
        let at = connection % self.clients.len();
        let Some(Some(client)) = self.clients.get(at) else { return };
        if !matches!(client.transaction, Transaction::None) {
            let client = client.connection.clone();
            let _ = self.run(connection, &client, "ROLLBACK").await;
            self.set(connection, Transaction::None);
            self.replace_if_stuck(connection).await;
        }
    }

    /// An error may have ended the transaction: SQLite then is in none.
    fn forget_if_rolled_back(&mut self, connection: usize) {
        let at = connection % self.clients.len();
        if let Some(Some(client)) = self.clients.get_mut(at)
            && client.connection.is_autocommit()
        {
            client.transaction = Transaction::None;
        }
    }

    /// A connection whose rollback failed keeps its transaction: only closing it ends that.
    async fn replace_if_stuck(&mut self, connection: usize) {
        let at = connection % self.clients.len();
        if let Some(Some(client)) = self.clients.get(at)
            && !client.connection.is_autocommit()
        {
            self.reconnect(connection).await;
        }
    }

    async fn reconnect(&mut self, connection: usize) {
        let at = connection % self.clients.len();
        self.clients[at] = None;
        if self.clients.iter().all(Option::is_none) {
            self.oracle.log_read_anew();
        }
        let client = self.connect().await;
        self.answer(connection, "reconnect", said(&client));
        self.clients[at] = client.ok();
    }

    async fn read(&mut self, connection: usize) -> Checked<()> {
        let at = connection % self.clients.len();
        let Some(Some(client)) = self.clients.get(at) else { return Ok(()) };
        let read = read_all(&client.connection).await;
        let (invariant, allowed): (_, Vec<State>) = match &client.transaction {
            Transaction::None => ("read-sees-committed-state", self.oracle.possible().collect()),
            Transaction::Writes(change) => (
                "transaction-sees-its-own-writes",
                self.oracle.possible().map(|state| change.apply(&state)).collect(),
            ),
            Transaction::Reads(snapshot) => ("snapshot-holds-still", vec![snapshot.clone()]),
        };
        let in_transaction = !matches!(client.transaction, Transaction::None);
        let state = match read {
            Ok(state) => state,
            Err(error) => {
                self.answer(connection, "SELECT", word(&error));
                self.forget_if_rolled_back(connection);
                return Ok(());
            }
        };
        self.world.answer(format!("connection {at}"), format!("SELECT: {}", in_words(&state)));
        self.answer(connection, "SELECT", "ok");
        if !allowed.contains(&state) {
            return Err(self.broken(invariant, &one_of(&allowed), in_words(&state)));
        }
        if !in_transaction {
            self.oracle.saw(&state);
        }
        Ok(())
    }

    async fn hold_read(&mut self, connection: usize) -> Checked<()> {
        let Some(client) = self.idle(connection) else { return self.read(connection).await };
        if self.run(connection, &client, "BEGIN").await.is_err() {
            return Ok(());
        }
        let read = read_all(&client).await;
        self.answer(connection, "SELECT", said(&read));
        let Ok(state) = read else {
            self.give_up(connection, &client).await;
            return Ok(());
        };
        let allowed: Vec<State> = self.oracle.possible().collect();
        if !self.oracle.saw(&state) {
            let invariant = "read-sees-committed-state";
            return Err(self.broken(invariant, &one_of(&allowed), in_words(&state)));
        }
        self.set(connection, Transaction::Reads(state));
        Ok(())
    }

    async fn ask(&mut self, connection: usize) -> Checked<()> {
        let at = connection % self.clients.len();
        let Some(Some(client)) = self.clients.get(at) else { return Ok(()) };
        let before_ms = self.world.clock().now_utc_ms();
        let asked = ask_time_and_number(&client.connection).await;
        let after_ms = self.world.clock().now_utc_ms();
        self.answer(connection, "ask", said(&asked));
        let Ok((utc_ms, number)) = asked else { return Ok(()) };
        self.world.answer(format!("connection {at}"), format!("{utc_ms} {number}"));
        match (before_ms..=after_ms).contains(&utc_ms) {
            true => Ok(()),
            false => {
                let expected = format!("{} to {}", utc(before_ms), utc(after_ms));
                Err(self.broken("sql-reads-the-simulated-clock", &expected, utc(utc_ms)))
            }
        }
    }

    async fn query_and_forget(&mut self, connection: usize, sql: &str) {
        if let Some(client) = self.idle(connection) {
            let answer = drain(&client, sql).await;
            self.answer(connection, sql, said(&answer));
        }
    }

    async fn run(
        &mut self,
        connection: usize,
        client: &Connection,
        sql: &str,
    ) -> libsql::Result<u64> {
        let answer = client.execute(sql, ()).await;
        self.answer(connection, sql, said(&answer));
        answer
    }

    /// The connection, if it is there and in no transaction.
    fn idle(&self, connection: usize) -> Option<Connection> {
        let client = self.clients.get(connection % self.clients.len())?.as_ref()?;
        matches!(client.transaction, Transaction::None).then(|| client.connection.clone())
    }

    /// The connection and what its write transaction did, if it is in one.
    fn writing(&self, connection: usize) -> Option<(Connection, Change)> {
        let client = self.clients.get(connection % self.clients.len())?.as_ref()?;
        match &client.transaction {
            Transaction::Writes(change) => Some((client.connection.clone(), change.clone())),
            _ => None,
        }
    }

    fn set(&mut self, connection: usize, transaction: Transaction) {
        let at = connection % self.clients.len();
        if let Some(Some(client)) = self.clients.get_mut(at) {
            client.transaction = transaction;
        }
    }

    fn end_boot(&mut self, ending: &Ending) {
        self.world.crash(ending);
        self.clients.clear();
    }

    fn answer(&mut self, connection: usize, what: &str, said: &'static str) {
        let mut who = format!("connection {}", connection % self.clients.len().max(1));
        if let Some(value) = planted::at(Place::Name) {
            who += &format!(" {value:x}");
        }
        self.world.request(&who, what);
        self.world.answer(&who, said);
        *self.counts.entry(format!("answer {said}")).or_default() += 1;
        self.tell(format!("step {:<3} {who}  {what}: {said}", self.step));
    }

    /// The kind of the last step that was begun.
    fn step_kind(&self) -> String {
        let begun = self.step.checked_sub(1).and_then(|at| self.script.steps.get(at));
        let kind =
            begun.and_then(|step| serde_json::to_value(step).ok()).and_then(|step| match step {
                serde_json::Value::String(name) => Some(name),
                serde_json::Value::Object(object) => object.keys().next().cloned(),
                _ => None,
            });
        kind.unwrap_or_else(|| "boot".to_string())
    }

    fn tell(&mut self, what: String) {
        let ms = self.world.clock().monotonic_ms();
        self.story.push(format!("{}  {what}", since_start(ms)));
    }

    fn broken(&self, invariant: &'static str, expected: &str, actual: String) -> Finding {
        Finding {
            invariant: invariant.to_string(),
            statement: "(SQLite's promise on this disk)".to_string(),
            place: "rows or files of another state".to_string(),
            step_kind: self.step_kind(),
            subject: format!("{PATH} at step {}", self.step),
            expected: expected.to_string(),
            actual,
            because: String::new(),
        }
    }
}
