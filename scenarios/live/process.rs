//! The server's process: started, killed, stopped.
//!
//! **Invariant:** no process outlives its value.

use super::LiveError;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The folder of the databases, within the run's.
pub const DATA: &str = "data";
/// The folder of the specs.
const SPECS: &str = "specs";
/// What the server says on standard error, over all boots.
const LOG: &str = "server.log";
/// What the server says once it is ready.
const READY: &str = "listening on ";

/// The workload's spec.
const SPEC: &str = include_str!("../specs/session.ioa.toml");

/// Makes the folder of a run, with the workload's spec.
///
/// # Errors
/// It is there already, or cannot be made.
pub fn lay_out(folder: &Path) -> Result<(), LiveError> {
    fs::create_dir_all(folder.parent().unwrap_or(folder)).map_err(LiveError::at(folder))?;
    fs::create_dir(folder).map_err(LiveError::at(folder))?;
    for name in [DATA, SPECS] {
        fs::create_dir(folder.join(name)).map_err(LiveError::at(folder.join(name)))?;
    }
    let spec = folder.join(SPECS).join("session.ioa.toml");
    fs::write(&spec, SPEC).map_err(LiveError::at(&spec))
}

/// The lines of the log in which a panic is told.
///
/// # Errors
/// The log cannot be read.
pub fn panics(folder: &Path) -> Result<Vec<String>, LiveError> {
    let log = folder.join(LOG);
    let text = fs::read_to_string(&log).map_err(LiveError::at(&log))?;
    Ok(text.lines().filter(|line| line.contains("panicked at")).map(str::to_string).collect())
}

/// A process that runs.
pub struct Server {
    child: Child,
    address: Option<SocketAddr>,
}

/// The command that starts a server on a run's folder.
///
/// # Errors
/// Its log cannot be written.
pub fn command(program: &Path, folder: &Path) -> Result<Command, LiveError> {
    let log = folder.join(LOG);
    let log = File::options().create(true).append(true).open(&log).map_err(LiveError::at(&log))?;
    let mut command = plain(program);
    command.arg("--data").arg(folder.join(DATA)).arg("--specs").arg(folder.join(SPECS));
    // Snapshots and sweeps come often, so that kills fall among them.
    command.args(["--listen", "127.0.0.1:0", "--snapshot-every", "7"]);
    command.args(["--sweep-interval", "50ms", "--log-level", "warn"]).stderr(log);
    Ok(command)
}

/// A server's program without settings: what the caller's environment says is for other servers.
pub fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("STORMGLASS_")) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Server {
    /// Starts a server and does not wait for it.
    ///
    /// # Errors
    /// There is no such program.
    pub fn spawn(mut command: Command) -> Result<Server, LiveError> {
        let child = command.stdout(Stdio::piped()).spawn();
        let child = child.map_err(LiveError::at(command.get_program()))?;
        Ok(Server { child, address: None })
    }

    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// There is no such program, or it ends before.
    pub fn start(command: Command) -> Result<Server, LiveError> {
        let mut server = Server::spawn(command)?;
        let out = server.child.stdout.take().expect("its output is a pipe");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        server.address = line.strip_prefix(READY).and_then(|address| address.trim().parse().ok());
        if server.address.is_none() {
            let ended = server.child.wait()?;
            return Err(LiveError::NotUp(ended.to_string()));
        }
        Ok(server)
    }

    /// Where it listens.
    ///
    /// # Panics
    /// When it was only spawned.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("whoever asks has waited for it")
    }

    /// Kills it (`kill -9`) and waits for its end.
    ///
    /// # Errors
    /// It has ended before, by itself.
    pub fn kill(mut self) -> Result<(), LiveError> {
        if let Some(ended) = self.child.try_wait()? {
            return Err(LiveError::Died(ended.to_string()));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Tells it to stop (`kill`), and does not wait.
    ///
    /// # Errors
    /// There is no `kill`.
    pub fn tell(&self) -> Result<(), LiveError> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        Ok(())
    }

    /// Tells it to stop and waits for its end.
    ///
    /// # Errors
    /// It ends otherwise than with 0.
    pub fn stop(self) -> Result<(), LiveError> {
        self.tell()?;
        self.ended()
    }

    /// Waits for the end of one that was told to stop.
    ///
    /// # Errors
    /// It ends otherwise than with 0.
    pub fn ended(mut self) -> Result<(), LiveError> {
        let ended = self.child.wait()?;
        if ended.success() { Ok(()) } else { Err(LiveError::NotStopped(ended.to_string())) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `kill` and `stop` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
