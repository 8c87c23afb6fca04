//! `report`: the page of a campaign's folder, or of a bundle's.

use super::Error;
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;
use stormglass_scenarios::report;

#[derive(Args)]
pub struct Options {
    /// The folder of a campaign or of a bundle.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(options: &Options) -> Result<u8, Error> {
    let path = report::write(&options.folder)?;
    writeln!(io::stdout(), "{}", path.display())?;
    Ok(0)
}
