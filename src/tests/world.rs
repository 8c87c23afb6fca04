//! A platform on files of its own, with a clock that moves when told to.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde_json::Value;

use crate::seams::{BoxFuture, Clock, Databases, Ids, NoPoints, Point, Points};
use crate::{Answer, Body, Config, Op, Platform, Request, Seams, SpecText, Specs, WriteProtocol};

/// Every order in which an event and its blobs are written.
pub const PROTOCOLS: [WriteProtocol; 3] =
    [WriteProtocol::EventThenBlobs, WriteProtocol::BlobsThenEvent, WriteProtocol::Atomic];

/// 2024-01-01 00:00:00 UTC.
pub const START_MS: i64 = 1_704_067_200_000;

/// A wall clock that moves when told to, over the runtime's timers.
pub struct TestClock(AtomicI64, AtomicU64);

impl TestClock {
    pub fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    /// Lets monotonic time pass. Timers do not feel it: they are the runtime's.
    pub fn pass(&self, ms: u64) {
        self.1.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_utc_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic_ms(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'_, ()> {
        let duration = std::time::Duration::from_millis(duration_ms);
        #[cfg(madsim)]
        return Box::pin(madsim::time::sleep(duration));
        #[cfg(not(madsim))]
        return Box::pin(tokio::time::sleep(duration));
    }
}

struct Folder(PathBuf);

impl Databases for Folder {
    fn uri(&self, tenant: &str) -> String {
        format!("file:{}/{tenant}.db", self.0.display())
    }

    fn tenants(&self) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(&self.0).map_err(|error| error.to_string())?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut tenants: Vec<String> =
            names.filter_map(|name| name.strip_suffix(".db").map(str::to_owned)).collect();
        tenants.sort();
        Ok(tenants)
    }
}

struct Counted(AtomicU64);

impl Ids for Counted {
    fn next_id(&self) -> String {
        format!("id-{}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Points of which one is never passed.
pub struct HeldAt(pub &'static str);

impl Points for HeldAt {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        if point.label == self.0 {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    }
}

/// A folder of databases, removed at the end.
pub struct World {
    pub clock: Arc<TestClock>,
    pub config: Config,
    /// One row of names over all starts: a name that is made anew is another one.
    ids: Arc<Counted>,
    folder: PathBuf,
}

impl World {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("stormglass-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let spec =
            |file: &str, text: &str| SpecText { file: file.to_owned(), text: text.to_owned() };
        let specs = [
            spec("session", include_str!("../../tests/specs/session.ioa.toml")),
            spec("job", include_str!("../../tests/specs/job.ioa.toml")),
        ];
        let specs = Specs::read(&specs, false).unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(START_MS), AtomicU64::new(0)));
        let ids = Arc::new(Counted(AtomicU64::new(0)));
        Self { clock, config: Config { specs, ..Config::default() }, ids, folder }
    }

    pub fn start(&self) -> Platform {
        self.start_with(Arc::new(NoPoints))
    }

    /// A platform whose tasks come by these points.
    pub fn start_with(&self, points: Arc<dyn Points>) -> Platform {
        let seams = Seams {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            databases: Arc::new(Folder(self.folder.clone())),
            points,
            ids: Arc::clone(&self.ids) as Arc<dyn Ids>,
        };
        Platform::start(self.config.clone(), seams).unwrap()
    }

    /// A connection to a tenant's file, as another program has one.
    pub async fn rival(&self, tenant: &str) -> libsql::Connection {
        let path = self.folder.join(format!("{tenant}.db"));
        libsql::Builder::new_local(path).build().await.unwrap().connect().unwrap()
    }

    /// Runs a statement on a tenant's file as another program would, and returns its rows' texts.
    pub async fn sql(&self, tenant: &str, sql: &str) -> Vec<String> {
        let connection = self.rival(tenant).await;
        let mut rows = connection.query(sql, ()).await.unwrap();
        let mut texts = Vec::new();
        while let Some(row) = rows.next().await.unwrap() {
            texts.push(match row.get_value(0).unwrap() {
                libsql::Value::Text(text) => text,
                libsql::Value::Integer(integer) => integer.to_string(),
                libsql::Value::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => String::new(),
            });
        }
        texts
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a test's future to its end.
pub fn run(test: impl Future<Output = ()>) {
    #[cfg(madsim)]
    madsim::runtime::Runtime::new().block_on(test);
    #[cfg(not(madsim))]
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

pub fn create(id: &str, body: Value) -> Request {
    let mut body = body;
    body["Id"] = Value::from(id);
    Request::new("acme", Op::Create { set: "Sessions".to_owned(), body: body.into() })
}

pub fn act(id: &str, action: &str, params: impl Into<Body>) -> Request {
    let (set, id, action) = ("Sessions".to_owned(), id.to_owned(), action.to_owned());
    Request::new("acme", Op::Act { set, id, action, params: params.into() })
}

pub fn get(id: &str) -> Request {
    Request::new("acme", Op::Get { set: "Sessions".to_owned(), id: id.to_owned() })
}

pub fn patch(id: &str, body: Value) -> Request {
    let (set, id) = ("Sessions".to_owned(), id.to_owned());
    Request::new("acme", Op::Patch { set, id, body: body.into() })
}

pub fn delete(id: &str) -> Request {
    Request::new("acme", Op::Delete { set: "Sessions".to_owned(), id: id.to_owned() })
}

pub fn history(id: &str) -> Request {
    let (set, id) = ("Sessions".to_owned(), id.to_owned());
    Request::new("acme", Op::History { set, id, top: None, skip: 0 })
}

/// The answer's outcome in one word: its status, or its failure's code.
pub fn word(answer: &Answer) -> String {
    answer.code.map_or_else(|| answer.status.to_string(), str::to_owned)
}
