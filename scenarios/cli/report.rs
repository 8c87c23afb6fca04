//! `report`: the page of a campaign's folder, or of a bundle's.

use super::Error;
use super::told::{Done, found};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use stormglass_scenarios::report;

#[derive(Args)]
pub struct Options {
    /// The folder of a campaign or of a bundle.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(options: &Options) -> Result<Done, Error> {
    let path = report::write(&options.folder)?;
    found(path.display());
    Done::new(0, json!({ "report": path }))
}
