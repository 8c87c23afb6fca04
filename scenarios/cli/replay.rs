//! `replay`: a bundle or a plan again, and whether it ends as it did.

use super::run::{reproduce, tell, tell_settings};
use super::{Error, defects};
use clap::Args;
use std::path::PathBuf;
use stormglass_scenarios::bundle;
use stormglass_scenarios::verdict::Signature;

#[derive(Args)]
pub struct Options {
    /// The folder of a bundle, or a plan's file as `run --plan` prints it.
    #[arg(value_name = "BUNDLE|PLAN")]
    path: PathBuf,
    /// Prints every record of the trace, a JSON object a line, instead of the story.
    #[arg(long)]
    trace: bool,
    /// A known defect to plant in the platform, or several: `a+b`. A bundle's own if absent.
    #[arg(long)]
    defect: Option<String>,
}

pub fn run(options: &Options) -> Result<u8, Error> {
    let Options { path, trace, defect } = options;
    let (source, recorded) = bundle::read(path)?;
    let own_defect = recorded.as_ref().and_then(|recorded| recorded.defect.clone());
    let planted = defect.clone().or(own_defect);
    defects::plant(planted.as_deref())?;
    tell_settings(&source, *trace)?;
    let played = source.play(*trace)?;
    let mut last: Vec<String> = Vec::new();
    // A run that fails early has not come to the faults of its later steps.
    last.extend(played.moved.iter().map(|fault| {
        let fault = serde_json::to_string(fault).unwrap_or_default();
        format!("moved        this fault never struck: {fault}")
    }));
    if let Some(recorded) = recorded {
        let ended = Signature::of(&played.outcome.verdict);
        last.push(match (&recorded.signature, &ended) {
            (recorded, ended) if recorded == ended => {
                "same         it ended as recorded".to_string()
            }
            (Some(recorded), _) => format!("DIFFERENT    recorded was {recorded}"),
            (None, _) => "DIFFERENT    recorded was a pass".to_string(),
        });
        last.extend(planted.as_ref().map(|name| format!("defect       {name}")));
    }
    let with_defect = defect.as_ref().map_or(String::new(), |name| format!(" --defect {name}"));
    let path = path.display();
    last.push(reproduce(&format!("cargo stormglass replay {path}{with_defect}")));
    tell(source.scenario(), &format!("plan {path}"), &played, *trace, &last)
}
