//! The server of one boot: the platform's router on a node of its own, reached over a channel.
//!
//! **Invariant:** a kill drops every future of the boot. What was answered was answered while the boot
//! lived; whatever else was asked is a lost connection.

use crate::http::{self, Answer, Request};
use crate::plan::{Action, Step, tenant_name};
use crate::translate::{self, Sets};
use madsim::runtime::{Handle, NodeHandle};
use std::sync::Arc;
use std::time::Duration;
use stormglass_platform::{Config, Platform, Seams, StartError};
use stormglass_sim::Boot;
use tokio::sync::{mpsc, oneshot};

/// What a server is told to do.
enum Command {
    Serve(Box<Request>, oneshot::Sender<Result<Answer, String>>),
    Sweep { tenant: String, max_rows: u64, reply: oneshot::Sender<Result<u64, String>> },
    Shutdown(oneshot::Sender<()>),
}

/// The connection to a server. Clones are further connections.
#[derive(Clone)]
pub struct Connection(mpsc::UnboundedSender<Command>);

impl Connection {
    /// Sends a request; nothing comes back when the connection is lost. `Err` is an answer that is none
    /// of the contract's, and says why.
    pub async fn request(&self, request: Request) -> Option<Result<Answer, String>> {
        let (reply, answered) = oneshot::channel();
        self.0.send(Command::Serve(Box::new(request), reply)).ok()?;
        answered.await.ok()
    }

    /// Has expired blobs deleted; nothing comes back when the connection is lost.
    pub async fn sweep(&self, tenant: String, max_rows: u64) -> Option<Result<u64, String>> {
        let (reply, answered) = oneshot::channel();
        self.0.send(Command::Sweep { tenant, max_rows, reply }).ok()?;
        answered.await.ok()
    }

    /// Has the server stop as it should. False when the connection is lost before it has.
    pub async fn shutdown(&self) -> bool {
        let (reply, answered) = oneshot::channel();
        self.0.send(Command::Shutdown(reply)).is_ok() && answered.await.is_ok()
    }
}

/// What came back for a step.
pub enum Said {
    /// The answer to a request.
    Answer(Answer),
    /// An answer that is none of the contract's: how.
    Odd(String),
    /// What a sweep deleted, or why it failed.
    Swept(Result<u64, String>),
    /// The connection was lost.
    Lost,
}

impl Said {
    /// The outcome in a few words.
    pub fn in_words(&self) -> String {
        match self {
            Said::Answer(Answer { status, code: Some(code), .. }) => format!("{status} {code}"),
            Said::Answer(Answer { status, sequence_nr: Some(n), .. }) => {
                format!("{status} at event {n}")
            }
            Said::Answer(Answer { status, .. }) => status.to_string(),
            Said::Swept(Ok(count)) => format!("swept {count}"),
            Said::Swept(Err(_)) => "failed".to_string(),
            Said::Odd(_) => "odd".to_string(),
            Said::Lost => "lost".to_string(),
        }
    }

    /// The same for a story: what damaged data has lost is named.
    pub fn in_story(&self) -> String {
        let loss = match self {
            Said::Answer(answer) => answer.loss(),
            _ => None,
        };
        loss.map_or_else(|| self.in_words(), |loss| format!("{}: {loss}", self.in_words()))
    }

    /// The outcome with the reason that an error gives.
    pub fn in_full(&self) -> String {
        let words = self.in_words();
        let Said::Answer(answer) = self else { return words };
        let reason = answer.body.pointer("/error/message").and_then(serde_json::Value::as_str);
        reason.map_or(words.clone(), |reason| format!("{words}: {reason}"))
    }
}

/// Has the server do what a step says.
pub async fn ask(connection: &Connection, step: &Step, sets: &Sets) -> Said {
    if let Action::Sweep { tenant, max_rows } = &step.action {
        let swept = connection.sweep(tenant_name(*tenant), *max_rows).await;
        return swept.map_or(Said::Lost, Said::Swept);
    }
    let Some(request) = translate::request(step, sets) else { return Said::Lost };
    match connection.request(request).await {
        None => Said::Lost,
        Some(Ok(answer)) => Said::Answer(answer),
        Some(Err(odd)) => Said::Odd(odd),
    }
}

/// A running server.
pub struct Server {
    boot: Boot,
    node: NodeHandle,
    connection: Connection,
    /// Held by everything of the platform, so that a kill can be seen to have dropped it.
    alive: Arc<()>,
}

impl Server {
    /// Starts the platform of `boot` on a node of its own.
    ///
    /// # Errors
    /// What the platform says of its configuration.
    pub async fn start(
        boot: Boot,
        config: Config,
        (seams, alive): (Seams, Arc<()>),
    ) -> Result<Server, StartError> {
        let node = Handle::current().create_node().name("server").build();
        let (commands, inbox) = mpsc::unbounded_channel();
        let (started, start) = oneshot::channel();
        let of_boot = boot.clone();
        node.spawn(async move {
            match Platform::start(config, seams) {
                Ok(platform) => {
                    let _ = started.send(Ok(()));
                    accept(Arc::new(platform), of_boot, inbox).await;
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        });
        start.await.unwrap_or(Ok(()))?;
        // The operations of a dead process fail and do nothing, but its tasks would go on: whoever
        // pulls the plug in the middle of a call cannot reach the runtime, so this task does.
        let (watched, doomed) = (boot.clone(), node.id());
        madsim::task::spawn(async move {
            watched.ended().await;
            Handle::current().kill(doomed);
        });
        Ok(Server { boot, node, connection: Connection(commands), alive })
    }

    /// A connection to it.
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// The boot that it is.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Waits until every future of the dead boot is dropped.
    ///
    /// # Errors
    /// The number of those that are not, when they should long have been.
    pub async fn buried(self) -> Result<(), usize> {
        Handle::current().kill(self.node.id());
        for _ in 0..1_000 {
            if Arc::strong_count(&self.alive) == 1 {
                return Ok(());
            }
            madsim::time::sleep(Duration::from_millis(1)).await;
        }
        Err(Arc::strong_count(&self.alive) - 1)
    }
}

/// Takes what comes over connections. The router runs in tasks of the server's own node: a future that a
/// client polls would outlive the server.
async fn accept(platform: Arc<Platform>, boot: Boot, mut inbox: mpsc::UnboundedReceiver<Command>) {
    let router = stormglass_platform::http::router(Arc::clone(&platform));
    while let Some(command) = inbox.recv().await {
        let (platform, boot, router) = (Arc::clone(&platform), boot.clone(), router.clone());
        madsim::task::spawn(async move { serve((&platform, router), &boot, command).await });
    }
}

async fn serve((platform, router): (&Platform, axum::Router), boot: &Boot, command: Command) {
    match command {
        Command::Serve(request, reply) => {
            let answer = http::serve(router, *request).await;
            if boot.is_alive() {
                let _ = reply.send(answer);
            }
        }
        Command::Sweep { tenant, max_rows, reply } => {
            let swept = platform.sweep(&tenant, max_rows).await.map_err(|e| e.to_string());
            if boot.is_alive() {
                let _ = reply.send(swept);
            }
        }
        Command::Shutdown(reply) => {
            platform.shutdown().await;
            if boot.is_alive() {
                let _ = reply.send(());
            }
        }
    }
}
