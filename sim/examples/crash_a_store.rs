//! Crashes a small store in the middle of its second payment and prints what survived.

use stormglass_sim::{Effect, Ending, Fault, Survivors, World, WorldOptions, block_on};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

async fn open(world: &World) -> libsql::Result<libsql::Connection> {
    libsql::Builder::new_local(world.boot().uri("/shop.db")).build().await?.connect()
}

async fn pay(shop: &libsql::Connection, euros: i64) -> bool {
    shop.execute("INSERT INTO payments VALUES (?1)", [euros]).await.is_ok()
}

async fn crash(synchronous: &str, ending: Ending) -> Fallible<()> {
    let world = World::new(42, WorldOptions::default())?;
    let shop = open(&world).await?;
    shop.query("PRAGMA journal_mode = WAL", ()).await?;
    shop.query(&format!("PRAGMA synchronous = {synchronous}"), ()).await?;
    shop.execute("CREATE TABLE payments(euros)", ()).await?;

    let first = pay(&shop, 100).await;
    world.arm(Fault::at_op(2, Effect::Crash(ending.clone())));
    let second = pay(&shop, 200).await;

    let reopened = open(&world).await?; // the next boot, on what the crash left
    let found = match reopened.query("SELECT group_concat(euros) FROM payments", ()).await {
        Ok(mut rows) => rows.next().await?.expect("an aggregate has a row").get(0)?,
        Err(error) => error.to_string(),
    };
    println!("sync {synchronous}, {ending:?}: 100 paid {first}, 200 paid {second}; found {found}");
    Ok(())
}

fn main() -> Fallible<()> {
    block_on(crash("NORMAL", Ending::ProcessKill))?;
    block_on(crash("NORMAL", Ending::PowerLoss(Survivors::None)))?;
    block_on(crash("FULL", Ending::PowerLoss(Survivors::None)))
}
