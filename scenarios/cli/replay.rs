//! `replay`: a bundle or a plan again, and whether it ends as it did.

mod look;

use super::run::{as_json, reproduce, tell, tell_settings};
use super::told::{Done, Manner, manner};
use super::{EXIT_BROKEN, Error, defects};
use clap::Args;
use look::{Seen, Until, until};
use serde_json::{Value, json};
use std::path::PathBuf;
use stormglass_scenarios::build_info::{Build, Difference};
use stormglass_scenarios::bundle::{self, Recorded, Source};
use stormglass_scenarios::failure::moved;
use stormglass_scenarios::threads;
use stormglass_scenarios::verdict::{Played, Signature};

#[derive(Args)]
pub struct Options {
    /// The folder of a bundle, or a plan's file as `run --plan` prints it.
    #[arg(value_name = "BUNDLE|PLAN")]
    path: PathBuf,
    /// Prints every record of the trace, a JSON object a line, instead of the story.
    #[arg(long, conflicts_with_all = ["until", "step"])]
    trace: bool,
    /// Stops before this step (or `end`: after the last), with the server up, and leaves the database files and
    /// what the model knows. Steps that are sent at once are not parted.
    #[arg(long, value_name = "STEP", value_parser = until)]
    until: Option<Until>,
    /// Stops before every step: Enter goes on, s shows what the model has learnt since the last
    /// stop, w all that it knows, c goes on to the end, q leaves.
    #[arg(long)]
    step: bool,
    /// The folder for what `--until` and q leave; beneath findings/ if absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A known defect to plant in the platform, or several: `a+b`. A bundle's own if absent.
    #[arg(long)]
    defect: Option<String>,
}

pub fn run(options: &Options) -> Result<Done, Error> {
    let Options { path, trace, until, step, out, defect } = options;
    if *step && manner() == Manner::Json {
        return Err("--step asks a person for keys: not with --json".into());
    }
    let (source, recorded) = bundle::read(path)?;
    let own_defect = recorded.as_ref().and_then(|recorded| recorded.defect.clone());
    let planted = defect.clone().or(own_defect);
    defects::plant(planted.as_deref())?;
    threads::watch();
    let looks = until.is_some() || *step;
    let manner =
        looks.then_some(look::Manner { until: *until, by_key: *step, out: out.as_deref() });
    manner.as_ref().map_or(Ok(()), |manner| manner.check(&source).map(drop))?;
    tell_settings(&source, *trace)?;
    let played = if let Some(manner) = manner {
        match look::play(&source, path, &manner)? {
            Seen::Left(mut done) => {
                done.result["defect"] = json!(planted);
                done.result["recorded"] = Value::Null;
                done.result["reproduce"] = Value::Null;
                return Ok(done);
            }
            Seen::Ended(played) => *played,
        }
    } else {
        source.play(*trace)?
    };
    finish(options, &source, (recorded, planted), &played)
}

/// Tells of a run that was played to its end, and how it compares with what was recorded.
fn finish(
    options: &Options,
    source: &Source,
    (recorded, planted): (Option<Recorded>, Option<String>),
    played: &Played,
) -> Result<Done, Error> {
    let Options { path, trace, defect, .. } = options;
    let mut last: Vec<String> = Vec::new();
    // A run that fails early has not come to the faults of its later steps.
    last.extend(played.moved.iter().map(|fault| {
        let (head, words) = moved(fault);
        format!("{head:<12} {words}")
    }));
    let compared = recorded.map(|recorded| Compared::of(&recorded, played));
    if let Some(compared) = &compared {
        last.extend(compared.in_words());
        last.extend(planted.as_ref().map(|name| format!("defect       {name}")));
    }
    let with_defect = defect.as_ref().map_or(String::new(), |name| format!(" --defect {name}"));
    let path = path.display();
    let command = format!("cargo stormglass replay {path}{with_defect}");
    last.push(reproduce(&command));
    let mut code = tell(source.scenario(), &format!("plan {path}"), played, *trace, &last)?;
    if compared.as_ref().is_some_and(Compared::is_broken) {
        code = EXIT_BROKEN;
    }
    let mut result = as_json(source.scenario(), played)?;
    result["stop"] = Value::Null;
    result["defect"] = json!(planted);
    result["recorded"] = compared.map_or(Value::Null, |compared| compared.to_json());
    result["reproduce"] = json!(command);
    Done::new(code, result)
}

/// How a run compares with what a bundle says of it.
struct Compared {
    recorded: Option<Signature>,
    is_same: bool,
    /// The fingerprint that was recorded, where there is another one now.
    other_fingerprint: Option<String>,
    /// Whether the program is known to be the one that recorded it.
    is_same_program: bool,
    build: Vec<Difference>,
}

impl Compared {
    fn of(recorded: &Recorded, played: &Played) -> Compared {
        let this = Build::this();
        let then = &recorded.outcome.fingerprint;
        // A run that took its process with it left none.
        let is_other =
            !then.is_empty() && !then.starts_with('(') && *then != played.outcome.fingerprint;
        Compared {
            is_same: recorded.signature == Signature::of(&played.outcome.verdict),
            recorded: recorded.signature.clone(),
            other_fingerprint: is_other.then(|| then.clone()),
            is_same_program: recorded.build.is_same_program(&this),
            build: recorded.build.differences(&this),
        }
    }

    /// The same program made another run of the same plan.
    fn is_broken(&self) -> bool {
        self.is_same_program && self.other_fingerprint.is_some()
    }

    fn in_words(&self) -> Vec<String> {
        let mut lines = vec![match (&self.recorded, self.is_same) {
            (_, true) => "same         it ended as recorded".to_string(),
            (Some(recorded), _) => format!("DIFFERENT    recorded was {recorded}"),
            (None, _) => "DIFFERENT    recorded was a pass".to_string(),
        }];
        let build = self.build.iter();
        lines.extend(build.map(|difference| format!("build        another: {difference}")));
        if let Some(then) = &self.other_fingerprint {
            lines.push(match (self.is_same_program, self.build.is_empty()) {
                (true, _) => format!(
                    "HARNESS BROKEN the same program recorded the fingerprint {then}: `check-determinism` \
                     and two replays with --trace show where such runs part"
                ),
                (_, true) => format!(
                    "fingerprint  recorded was {then}; the checkout has changes, so that it may be another"
                ),
                (_, false) => format!(
                    "fingerprint  recorded was {then}; another build may make another run of the same plan"
                ),
            });
        } else if !self.build.is_empty() {
            lines.push("fingerprint  the recorded one, although the build is another".to_string());
        }
        lines
    }

    fn to_json(&self) -> Value {
        json!({
            "signature": self.recorded,
            "is_same": self.is_same,
            "other_fingerprint": self.other_fingerprint,
            "is_same_program": self.is_same_program,
            "build_differences": self.build,
        })
    }
}
