//! What is played, as the command line takes it and as one process tells another.
//!
//! **Invariant:** a seed and this make one run, in whatever process: [`What::arguments`] says all of it.

use crate::bundle::{self, Source};
use crate::patience::Bound;
use crate::plan::Protocol;
use crate::profile::{self, Profile};
use crate::runner::{self, PlayOptions};
use crate::scenario::{self, Settings};
use crate::sql::Script;
use crate::verdict::{Outcome, Played};
use crate::workers::{Crew, Order, Run};
use crate::{defects, drive, workers};
use std::path::PathBuf;
use stormglass_sim::Seed;

/// What is played.
#[derive(clap::Args, Clone, Debug)]
pub struct What {
    /// The scenario; `stormglass list` names them. Each seed draws its own if absent.
    #[arg(long)]
    pub scenario: Option<String>,
    /// Specs to drive in place of a scenario: the first one, with the others served beside it.
    #[arg(long = "spec", value_name = "FILE", conflicts_with = "scenario")]
    pub specs: Vec<PathBuf>,
    /// How long and how hostile the runs are: quick, nightly, hostile, damage, or the path of a TOML file.
    #[arg(long, default_value = profile::DEFAULT)]
    pub profile: String,
    /// The write protocol, in place of the one that the seed draws.
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// A known defect to plant in the platform, or several: `a+b`.
    #[arg(long)]
    pub defect: Option<String>,
}

impl What {
    /// Whatever the seeds draw, with this defect.
    pub fn with_defect(defect: Option<&str>) -> What {
        let (profile, defect) = (profile::DEFAULT.to_string(), defect.map(str::to_string));
        What { scenario: None, specs: Vec::new(), profile, protocol: None, defect }
    }

    /// Checks the names and plants the defect.
    ///
    /// # Errors
    /// One line that names what is wrong.
    pub fn plant(&self) -> Result<(), String> {
        if let Some(asked) = &self.scenario
            && !scenario::all().iter().any(|(name, _)| name == asked)
        {
            let known: Vec<&str> = scenario::all().iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            return Err(format!("no scenario `{asked}`; there are {known}"));
        }
        // The scripts run on libsql alone, so that these would change nothing and say nothing.
        if self.scenario.as_deref() == Some(scenario::SQL) {
            for (flag, is_given) in
                [("--defect", self.defect.is_some()), ("--protocol", self.protocol.is_some())]
            {
                if is_given {
                    return Err(format!(
                        "{flag} is the platform's, which scenario `sql` is without"
                    ));
                }
            }
        }
        self.settings()?;
        drive::read_files(&self.specs)?;
        defects::plant(self.defect.as_deref())
    }

    /// The scenario that `seed` plays.
    pub fn scenario(&self, seed: Seed) -> &str {
        let own = if self.specs.is_empty() { None } else { Some(drive::SCENARIO) };
        self.scenario.as_deref().or(own).unwrap_or_else(|| scenario::of_seed(seed))
    }

    /// Whether every seed plays the same scenario.
    pub fn is_of_one_scenario(&self) -> bool {
        self.scenario.is_some() || !self.specs.is_empty()
    }

    /// What is chosen in place of what each seed draws.
    ///
    /// # Errors
    /// What is wrong with the profile.
    pub fn settings(&self) -> Result<Settings, String> {
        let profile = Profile::load(&self.profile).map_err(|error| error.to_string())?;
        Ok(Settings { protocol: self.protocol, profile })
    }

    /// What the run of `seed` is, as data.
    ///
    /// # Errors
    /// What is wrong with the profile or the scenario's name.
    pub fn source(&self, seed: Seed) -> Result<Source, String> {
        let name = self.scenario(seed);
        if name == scenario::SQL {
            return Ok(Source::Script(Box::new(Script::from_seed(seed))));
        }
        if !self.specs.is_empty() {
            let plan = drive::plan(&drive::read_files(&self.specs)?, seed, &self.settings()?);
            return Ok(Source::Plan(Box::new(plan)));
        }
        let plan = scenario::plan(name, seed, &self.settings()?);
        let plan = plan.ok_or_else(|| format!("scenario `{name}` has no plans"))?;
        Ok(Source::Plan(Box::new(plan)))
    }

    /// Plays the run of `seed` in this process.
    ///
    /// # Errors
    /// What keeps it from being played.
    pub fn play(&self, seed: Seed, keep_trace: bool) -> Result<Played, String> {
        let options = PlayOptions { keep_trace, checks: true };
        if !self.specs.is_empty() {
            let plan = drive::plan(&drive::read_files(&self.specs)?, seed, &self.settings()?);
            return scenario::play_plan(&plan, options).map_err(|error| error.to_string());
        }
        let played = scenario::play(self.scenario(seed), seed, &self.settings()?, options);
        let played = played.ok_or_else(|| format!("no scenario `{}`", self.scenario(seed)))?;
        played.map_err(|error| error.to_string())
    }

    /// A worker's turn: plays the orders that come in on standard input.
    ///
    /// # Errors
    /// What keeps an order from being played.
    pub fn serve(&self) -> Result<(), String> {
        let settings = self.settings()?;
        workers::serve(|order| self.obey(&order, &settings))
    }

    fn obey(&self, order: &Order, settings: &Settings) -> Result<Outcome, String> {
        let Order { run, bundle, bound } = order;
        let keep_trace = bundle.is_some();
        let options = PlayOptions { keep_trace, checks: true };
        let source = match run {
            Run::Plan(plan) if !keep_trace => {
                let bound = bound.unwrap_or(Bound::WHOLE);
                let played = runner::play_bounded(plan, options, bound);
                return Ok(played.map_err(|error| error.to_string())?.outcome);
            }
            Run::Plan(plan) => Source::Plan(plan.clone()),
            Run::Seed(seed) if keep_trace => self.source(*seed)?,
            Run::Seed(seed) if !self.specs.is_empty() => {
                return Ok(self.play(*seed, keep_trace)?.outcome);
            }
            Run::Seed(seed) => {
                let played = scenario::play(self.scenario(*seed), *seed, settings, options);
                let played = played.ok_or("no such scenario")?;
                return Ok(played.map_err(|error| error.to_string())?.outcome);
            }
        };
        let played = source.play(keep_trace).map_err(|error| error.to_string())?;
        if let Some(draft) = bundle {
            let written = bundle::write_remains(draft, &source, &played);
            written.map_err(|error| format!("{}: {error}", draft.display()))?;
        }
        Ok(played.outcome)
    }

    /// Workers that play this.
    ///
    /// # Errors
    /// When this program's path is not known.
    pub fn crew(&self) -> std::io::Result<Crew> {
        Crew::of_this_program(self.arguments("worker"))
    }

    /// The arguments that make another process play the same.
    pub fn arguments(&self, command: &str) -> Vec<String> {
        let mut arguments = vec![command.to_string()];
        if let Some(scenario) = &self.scenario {
            arguments.extend(["--scenario".to_string(), scenario.clone()]);
        }
        for spec in &self.specs {
            arguments.extend(["--spec".to_string(), spec.display().to_string()]);
        }
        if self.profile != profile::DEFAULT {
            arguments.extend(["--profile".to_string(), self.profile.clone()]);
        }
        if let Some(protocol) = self.protocol {
            arguments.extend(["--protocol".to_string(), protocol.name().to_string()]);
        }
        if let Some(defect) = &self.defect {
            arguments.extend(["--defect".to_string(), defect.clone()]);
        }
        arguments
    }

    /// The command with which a person plays `seed` again.
    pub fn command(&self, seed: Seed) -> String {
        let words = self.arguments("run");
        format!("cargo stormglass {} --seed {seed}", words.join(" "))
    }

    /// A short name for folders: the scenario and whatever else was chosen.
    pub fn name(&self) -> String {
        let profile = Some(self.profile.as_str()).filter(|name| {
            *name != profile::DEFAULT && profile::BUILT_IN.iter().any(|(known, _)| known == name)
        });
        let chosen = [
            Some(self.scenario.as_deref().unwrap_or(if self.specs.is_empty() {
                "all"
            } else {
                drive::SCENARIO
            })),
            profile,
            self.protocol.map(Protocol::name),
            self.defect.as_deref(),
        ];
        chosen.into_iter().flatten().collect::<Vec<_>>().join("-")
    }
}
