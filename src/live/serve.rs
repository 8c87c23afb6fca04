//! From settings to a server that listens, and from a signal to its end.
//!
//! **Invariant:** `listening on` is printed when the first request can be served and signals are
//! heard. After a signal no connection is taken, what was asked is answered, and only then the
//! platform stops.

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Folder, FreshIds, ServerError, Settings, SystemClock, load};
use crate::seams::NoPoints;
use crate::{Config, Modules, Platform, Seams, http};

/// Serves until a signal ends it.
///
/// # Errors
/// What keeps it from starting.
pub fn run(settings: Settings) -> Result<(), ServerError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(settings.log_level.filter())
        .init();
    let specs = load::specs(&settings.specs, settings.lenient)?;
    let modules = settings.wasm.as_deref().map(load::modules).transpose()?.unwrap_or_default();
    tracing::info!(modules = modules.len(), "compiling modules");
    let modules = Modules::read(&modules);
    // All of them now: a server that listens is ready, and has told what cannot be run.
    let usable = modules.names().filter(|(_, reason)| reason.is_none()).count();
    tracing::info!(usable, "modules are compiled");
    load::warn_of_missing(&specs, &modules);
    let folder = Folder::take(&settings.data)?;
    let config = Config { specs, modules, ..settings.config() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .enable_all()
        .build()
        .map_err(|why| ServerError::System { what: "threads cannot be started", why })?;
    runtime.block_on(serve(&settings, config, folder))
}

async fn serve(settings: &Settings, config: Config, folder: Folder) -> Result<(), ServerError> {
    let seams = Seams {
        clock: Arc::new(SystemClock::start()),
        databases: Arc::new(folder),
        points: Arc::new(NoPoints),
        ids: Arc::new(FreshIds),
    };
    let ended = signals()?;
    let listener = TcpListener::bind(settings.listen).await;
    let refused = |why| ServerError::Listen { address: settings.listen.to_string(), why };
    let listener = listener.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let platform = Arc::new(Platform::start(config, seams)?);
    let router = http::router(Arc::clone(&platform));
    say(&format!("listening on {address}"));
    tracing::info!(%address, "listening");
    // Answers are small or whole: nothing is gained by holding a packet back.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let stop = wait_for(ended.clone());
    let served = axum::serve(listener, router).with_graceful_shutdown(stop);
    let overdue = async {
        wait_for(ended).await;
        tokio::time::sleep(Duration::from_millis(settings.grace)).await;
    };
    tokio::select! {
        ended = served => ended.map_err(|why| ServerError::System { what: "serving ended", why })?,
        () = overdue => tracing::warn!("connections are cut that did not end in time"),
    }
    platform.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Becomes true with the first SIGTERM or SIGINT. The second ends the process as if there were no
/// handler.
fn signals() -> Result<watch::Receiver<bool>, ServerError> {
    let failed = |why| ServerError::System { what: "signals cannot be heard", why };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        for is_first in [true, false] {
            let number = tokio::select! {
                _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
                _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            };
            if is_first {
                tracing::info!(signal = number, "stopping");
                tell.send_replace(true);
            } else {
                std::process::exit(128 + number);
            }
        }
    });
    Ok(told)
}

fn wait_for(mut told: watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    async move {
        // The sender lives in the task of the signals, which ends with the process only.
        let _ = told.wait_for(|told| *told).await;
    }
}

/// Standard output may be closed: whoever wants to know listens.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
