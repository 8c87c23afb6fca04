//! The platform as a server: settings in, requests served, exit code 2 for what cannot be started.

#[cfg(not(madsim))]
fn main() -> std::process::ExitCode {
    use clap::Parser;
    use stormglass_platform::live::{Settings, run};

    match run(Settings::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stormglass-server: {error}");
            std::process::ExitCode::from(2)
        }
    }
}

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    eprintln!(
        "stormglass-server: built for simulation, it has no clock, disk or socket. Build it by\n\
        RUSTFLAGS= cargo build --release -p stormglass-platform --target-dir target/live"
    );
    std::process::ExitCode::from(2)
}
