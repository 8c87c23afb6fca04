//! What a server is told: by flags, each of them also by an environment variable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::overflow::DEFAULT_FIELD_INLINE_MAX;
use crate::platform::CHECKPOINT_PAGES;
use crate::{GuestLimits, OverflowMode, SweepSettings, WriteProtocol};

/// Serves event-sourced entities over HTTP.
///
/// Once it is ready it prints `listening on ADDRESS`. SIGTERM and SIGINT end it: what was asked is
/// answered, states are kept for a fast start, then it exits with 0. A setting that cannot be used
/// ends it with 2. Times are written as `500ms`, `30s`, `5m` or `6h`.
#[derive(Debug, Clone, Parser)]
#[command(name = "stormglass-server", version)]
pub struct Settings {
    /// The folder of the databases, one file a tenant. No other server may use it.
    #[arg(long, value_name = "DIR", env = "STORMGLASS_DATA")]
    pub data: PathBuf,
    /// The folder of the specs: every file in it that ends in .toml.
    #[arg(long, value_name = "DIR", env = "STORMGLASS_SPECS")]
    pub specs: PathBuf,
    /// The folder of the modules that integrations name: every file that ends in .wasm.
    #[arg(long, value_name = "DIR", env = "STORMGLASS_WASM")]
    pub wasm: Option<PathBuf>,
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR", env = "STORMGLASS_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
    /// Take what is unknown in a spec for a warning: for specs of newer versions.
    #[arg(long, env = "STORMGLASS_LENIENT")]
    pub lenient: bool,
    /// From the end of one sweep of expired blobs to the next.
    #[arg(long, value_name = "TIME", env = "STORMGLASS_SWEEP_INTERVAL", default_value = "6h", value_parser = duration_ms)]
    pub sweep_interval: u64,
    /// Blobs that a sweep deletes in one transaction.
    #[arg(long, value_name = "ROWS", env = "STORMGLASS_SWEEP_BATCH", default_value_t = 10_000)]
    pub sweep_batch: u64,
    /// Sweep nothing.
    #[arg(long, env = "STORMGLASS_NO_SWEEP")]
    pub no_sweep: bool,
    /// Events of an entity between two snapshots.
    #[arg(long, value_name = "EVENTS", env = "STORMGLASS_SNAPSHOT_EVERY", default_value_t = 100)]
    pub snapshot_every: u64,
    /// An entity that nobody asks for leaves the memory after this time.
    #[arg(long, value_name = "TIME", env = "STORMGLASS_IDLE", default_value = "300s", value_parser = duration_ms)]
    pub idle: u64,
    /// From so many pages in a tenant's log on a commit brings them to its file.
    #[arg(long, value_name = "PAGES", env = "STORMGLASS_CHECKPOINT_PAGES", default_value_t = CHECKPOINT_PAGES)]
    pub checkpoint_pages: u32,
    /// What becomes of a value over its ceiling: a blob, or a placeholder.
    #[arg(long, value_enum, env = "STORMGLASS_MODE", default_value = "blob-refs")]
    pub mode: Mode,
    /// The ceiling of fields whose spec has none.
    #[arg(long, value_name = "BYTES", env = "STORMGLASS_INLINE_MAX", default_value_t = DEFAULT_FIELD_INLINE_MAX)]
    pub inline_max: u64,
    /// Mode and ceiling of one tenant, as `acme=inline-truncate:1000`. May be given more than once;
    /// in the environment separated by commas.
    #[arg(long, value_name = "TENANT=MODE:BYTES", env = "STORMGLASS_TENANT_MODE", value_delimiter = ',', value_parser = tenant_mode)]
    pub tenant_mode: Vec<(String, OverflowMode)>,
    /// The order in which an action's event and blobs are written.
    #[arg(long, value_enum, env = "STORMGLASS_PROTOCOL", default_value = "event-then-blobs")]
    pub protocol: Protocol,
    /// What one run of a module may use, in fuel: roughly one for each instruction.
    #[arg(long, value_name = "FUEL", env = "STORMGLASS_GUEST_FUEL", default_value_t = GuestLimits::default().fuel)]
    pub guest_fuel: u64,
    /// Memory that one run of a module may use.
    #[arg(long, value_name = "BYTES", env = "STORMGLASS_GUEST_MEMORY", default_value_t = GuestLimits::default().memory_bytes)]
    pub guest_memory: u64,
    /// A shutdown waits so long for what was asked before it.
    #[arg(long, value_name = "TIME", env = "STORMGLASS_GRACE", default_value = "30s", value_parser = duration_ms)]
    pub grace: u64,
    /// Threads that serve; of each busy tenant one waits for the disk, whatever the number of cores.
    #[arg(long, value_name = "THREADS", env = "STORMGLASS_THREADS", default_value_t = 8, value_parser = threads)]
    pub threads: usize,
    /// What is told on standard error.
    #[arg(long, value_enum, env = "STORMGLASS_LOG_LEVEL", default_value = "info")]
    pub log_level: LogLevel,
}

/// [`OverflowMode`] without its ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A blob, and a reference in its place.
    BlobRefs,
    /// A placeholder that says how large it was.
    InlineTruncate,
}

/// [`WriteProtocol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// A crash leaves a missing blob, which a replay puts.
    EventThenBlobs,
    /// A crash leaves an orphan.
    BlobsThenEvent,
    /// One transaction.
    Atomic,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What must not happen.
    Error,
    /// What is odd.
    Warn,
    /// What a server does.
    Info,
    /// More of it.
    Debug,
    /// All of it.
    Trace,
}

impl Settings {
    /// The platform's configuration, but for specs and modules.
    pub(super) fn config(&self) -> crate::Config {
        crate::Config {
            protocol: match self.protocol {
                Protocol::EventThenBlobs => WriteProtocol::EventThenBlobs,
                Protocol::BlobsThenEvent => WriteProtocol::BlobsThenEvent,
                Protocol::Atomic => WriteProtocol::Atomic,
            },
            mode: self.mode.with_ceiling(self.inline_max),
            modes: self.tenant_mode.iter().cloned().collect::<BTreeMap<_, _>>(),
            sweep: SweepSettings {
                interval_ms: self.sweep_interval,
                batch: self.sweep_batch,
                enabled: !self.no_sweep,
            },
            snapshot_every: self.snapshot_every,
            idle_ms: self.idle,
            checkpoint_pages: self.checkpoint_pages,
            guests: GuestLimits {
                fuel: self.guest_fuel,
                memory_bytes: self.guest_memory,
                ..GuestLimits::default()
            },
            ..crate::Config::default()
        }
    }
}

impl Mode {
    fn with_ceiling(self, default_inline_max: u64) -> OverflowMode {
        match self {
            Self::BlobRefs => OverflowMode::BlobRefs { default_inline_max },
            Self::InlineTruncate => OverflowMode::InlineTruncate { default_inline_max },
        }
    }
}

impl LogLevel {
    pub(super) fn filter(self) -> tracing_subscriber::filter::LevelFilter {
        use tracing_subscriber::filter::LevelFilter;
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

fn duration_ms(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("it is no time such as 500ms, 30s, 5m or 6h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "it has no number that fits".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "it is too long".to_owned())
}

fn tenant_mode(text: &str) -> Result<(String, OverflowMode), String> {
    let shape = || "it is not TENANT=MODE:BYTES".to_owned();
    let (tenant, rest) = text.split_once('=').ok_or_else(shape)?;
    let (mode, ceiling) = rest.split_once(':').ok_or_else(shape)?;
    if !crate::tenant::is_valid_tenant(tenant) {
        return Err(format!("`{tenant}` is no tenant's name"));
    }
    let mode = Mode::from_str(mode, false)
        .map_err(|_| format!("`{mode}` is neither blob-refs nor inline-truncate"))?;
    let ceiling = ceiling.parse().map_err(|_| format!("`{ceiling}` is no number of bytes"))?;
    Ok((tenant.to_owned(), mode.with_ceiling(ceiling)))
}

fn threads(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "it is no number".to_owned())?;
    (1..=1024).contains(&number).then_some(number).ok_or_else(|| "it is not 1 to 1024".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let read = ["0ms", "30s", "5m", "6h"].map(|text| duration_ms(text).unwrap());
        assert_eq!(read, [0, 30_000, 300_000, 21_600_000]);
        for text in
            ["", "5", "s", "-1s", "1.5h", "5 m", "99999999999999999999s", "9999999999999999h"]
        {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tenants_have_modes_of_their_own() {
        let read = tenant_mode("acme=inline-truncate:0").unwrap();
        let mode = OverflowMode::InlineTruncate { default_inline_max: 0 };
        assert_eq!(read, ("acme".to_owned(), mode));
        for text in ["acme", "acme=blob-refs", "Acme=blob-refs:1", "acme=x:1", "acme=blob-refs:x"] {
            assert!(tenant_mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_defaults_are_the_platforms() {
        let settings = Settings::parse_from(["stormglass-server", "--data", "d", "--specs", "s"]);
        let (config, own) = (settings.config(), crate::Config::default());
        assert_eq!(config.protocol, own.protocol);
        assert_eq!((config.mode, config.modes), (own.mode, own.modes));
        assert_eq!(config.sweep, own.sweep);
        assert_eq!((config.snapshot_every, config.idle_ms), (own.snapshot_every, own.idle_ms));
        assert_eq!(config.checkpoint_pages, own.checkpoint_pages);
        assert_eq!(config.guests, own.guests);
    }
}
