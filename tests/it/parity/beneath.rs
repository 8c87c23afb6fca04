//! What the unix VFS does beneath the calls that it is asked for, and the simulated one must do
//! too.

use stormglass_sim::{Ending, Survivors, World, WorldOptions, block_on};

async fn ask(connection: &libsql::Connection, sql: &str) -> String {
    let mut rows = connection.query(sql, ()).await.expect("the statement is valid");
    let row = rows.next().await.expect("no fault is armed");
    row.map_or(String::new(), |row| format!("{:?}", row.get_value(0).expect("there is a column")))
}

async fn open(world: &World) -> libsql::Connection {
    let database = libsql::Builder::new_local(world.boot().uri("/x.db")).build().await;
    database.expect("it is a local file").connect().expect("no fault is armed")
}

/// Goal: a commit that was acknowledged survives although the log's name was still pending when
/// this process found it. Method: the process that made the log never synced it and was killed; the
/// unix VFS syncs the directory with the first sync of each log or journal that it was told to
/// make, whether or not it was there.
#[test]
fn a_log_found_without_a_durable_name_is_given_one_by_its_first_sync() {
    let world = World::new(1, WorldOptions::default()).expect("one world a test");
    block_on(async {
        let first = open(&world).await;
        ask(&first, "CREATE TABLE t(v)").await;
        ask(&first, "PRAGMA journal_mode = WAL").await;
        ask(&first, "PRAGMA synchronous = OFF").await;
        ask(&first, "INSERT INTO t VALUES ('by the first process')").await;
        world.crash(&Ending::ProcessKill);

        let second = open(&world).await;
        ask(&second, "PRAGMA synchronous = FULL").await;
        ask(&second, "INSERT INTO t VALUES ('by the second process')").await;
        world.crash(&Ending::PowerLoss(Survivors::None));

        let third = open(&world).await;
        assert_eq!(ask(&third, "SELECT count(*) FROM t").await, "Integer(2)");
    });
}
