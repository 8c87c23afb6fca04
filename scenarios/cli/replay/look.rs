//! `replay --until` and `replay --step`: a run that is looked at between its steps.

use crate::cli::run::{as_json, say_story};
use crate::cli::told::{Done, found, say};
use crate::cli::{Error, FINDINGS};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use stormglass_scenarios::bundle::{self, Source};
use stormglass_scenarios::failure::{Screen, diff};
use stormglass_scenarios::plan::{Plan, Step, Who};
use stormglass_scenarios::runner::PlayOptions;
use stormglass_scenarios::runner::look::{Pause, play_step_by_step};
use stormglass_scenarios::translate::brief;
use stormglass_scenarios::verdict::{Played, Verdict};

/// Where a run is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Before the step of this number.
    Step(u32),
    /// After the last step, before the run's own checks.
    End,
}

/// A step's number, or `end`.
pub fn until(text: &str) -> Result<Until, String> {
    match text {
        "end" => Ok(Until::End),
        _ => {
            text.parse().map(Until::Step).map_err(|_| "give a step's number, or `end`".to_string())
        }
    }
}

impl Until {
    fn name(self) -> String {
        match self {
            Until::Step(id) => id.to_string(),
            Until::End => "end".to_string(),
        }
    }

    /// Whether it is before these steps that the run is left.
    fn is_before(self, next: &[Step]) -> bool {
        match self {
            Until::Step(id) => next.iter().any(|step| step.id == id),
            Until::End => next.is_empty(),
        }
    }

    /// # Errors
    /// The plan has no such step.
    fn check(self, plan: &Plan) -> Result<(), String> {
        if self == Until::End || self.is_before(&plan.steps) {
            return Ok(());
        }
        let ids: Vec<String> = plan.steps.iter().map(|step| step.id.to_string()).collect();
        Err(format!("no step {} in the plan; it has {}", self.name(), ids.join(", ")))
    }
}

/// How a run is looked at.
pub struct Manner<'m> {
    pub until: Option<Until>,
    pub by_key: bool,
    pub out: Option<&'m Path>,
}

impl Manner<'_> {
    /// The plan that can be looked at so.
    ///
    /// # Errors
    /// It has no steps, or not the one that is asked for.
    pub fn check<'s>(&self, source: &'s Source) -> Result<&'s Plan, Error> {
        let none = "a script of scenario `sql` has no steps to stop at";
        let plan = source.plan().ok_or(none)?;
        self.until.map_or(Ok(()), |until| until.check(plan))?;
        Ok(plan)
    }

    /// The folder for what is left before a step, or at another place of this name.
    ///
    /// # Errors
    /// It is something else's.
    fn folder(&self, path: &Path, place: &str) -> Result<PathBuf, Error> {
        if let Some(out) = self.out.filter(|out| out.exists() && !out.join(bundle::MODEL).is_file())
        {
            let out = out.display();
            return Err(
                format!("{out} is there already and is no earlier stop's: name another").into()
            );
        }
        Ok(self.out.map_or_else(|| default_folder(path, place), Path::to_path_buf))
    }
}

/// What came of it.
pub enum Seen {
    /// The run was left: all is said.
    Left(Done),
    /// It went on to its end; what of its story was told is gone from it.
    Ended(Box<Played>),
}

/// Plays a plan and stops where it is told to.
pub fn play(source: &Source, path: &Path, manner: &Manner<'_>) -> Result<Seen, Error> {
    let plan = manner.check(source)?;
    if manner.by_key {
        say(format!("{KEYS}\n"));
    }
    let mut whos: Vec<Who> = plan.steps.iter().filter_map(|step| step.action.who()).collect();
    whos.sort();
    whos.dedup();
    let known = BTreeMap::new();
    let goes_on = !manner.by_key;
    let eyes = Eyes { manner, told_count: 0, goes_on, left: None, model: Value::Null, whos, known };
    let eyes = RefCell::new(eyes);
    let options = PlayOptions { keep_trace: false, checks: true };
    let mut seen = play_step_by_step(plan, options, &|pause| eyes.borrow_mut().look(pause))?;
    let Eyes { told_count, left, model, .. } = eyes.into_inner();
    if let (true, Some(left)) = (seen.was_left, left) {
        return left.tell(source, path, manner, &seen.played).map(Seen::Left);
    }
    if let Some(until) = manner.until {
        let place = match until {
            Until::Step(id) => format!("step {id} was reached"),
            Until::End => "its end".to_string(),
        };
        let why = match &seen.played.outcome.verdict {
            Verdict::Passed => "",
            Verdict::Violated(_) => ": it failed",
            Verdict::HarnessBroken(_) => ": the harness failed",
        };
        found(format!("ended        before {place}{why}"));
        let folder = manner.folder(path, "failure")?;
        let text = serde_json::to_string_pretty(&model)?;
        let files = bundle::write_stop(&folder, source, &seen.played, &text)?;
        tell_files(&files, &folder, ", as it stood before the last step");
    }
    seen.played.story.drain(..told_count);
    Ok(Seen::Ended(Box::new(seen.played)))
}

struct Eyes<'m> {
    manner: &'m Manner<'m>,
    /// Lines of the story that were printed.
    told_count: usize,
    /// Nobody is asked any more.
    goes_on: bool,
    left: Option<Left>,
    /// What the model knew at the last stop of a run that is to be left somewhere.
    model: Value,
    /// The entities of the plan.
    whos: Vec<Who>,
    /// What the model knew of each at the last stop.
    known: BTreeMap<Who, Value>,
}

impl Eyes<'_> {
    fn look(&mut self, pause: &Pause<'_>) -> ControlFlow<()> {
        if self.manner.by_key {
            self.tell_news(pause);
        }
        if self.manner.until.is_some_and(|until| until.is_before(pause.next)) {
            return self.leave(pause);
        }
        if self.manner.until.is_some() {
            self.model = pause.model();
        }
        while !self.goes_on {
            match key() {
                Key::Next => break,
                Key::GoOn => self.goes_on = true,
                Key::Leave => return self.leave(pause),
                Key::Show => self.show_news(pause),
                Key::Whole => show_whole(pause),
                Key::Other => say(KEYS),
            }
        }
        if self.manner.by_key {
            let known = self.whos.iter().filter_map(|who| Some((*who, pause.entity(*who)?)));
            self.known = known.collect();
        }
        ControlFlow::Continue(())
    }

    fn tell_news(&mut self, pause: &Pause<'_>) {
        let screen = Screen::of_stdout();
        let news = pause.story[self.told_count..].iter().flat_map(|line| screen.of_story(line));
        news.for_each(|line| found(screen.line(&line)));
        self.told_count = pause.story.len();
        if !self.goes_on {
            found(format!("next         {}", next(pause.next)));
        }
    }

    /// What the model has learnt of the plan's entities since the last stop.
    fn show_news(&self, pause: &Pause<'_>) {
        let mut has_news = false;
        for who in &self.whos {
            let Some(shown) = pause.entity(*who) else { continue };
            let changes = diff::changes(self.known.get(who), &shown);
            if !changes.is_empty() {
                has_news = true;
                let name = ["tenant", "set", "id"].map(|part| shown[part].as_str().unwrap_or("?"));
                say(format!("  {}", name.join("/")));
                changes.iter().for_each(|change| say(format!("    {change}")));
            }
        }
        if !has_news {
            say("  nothing has changed since the last stop");
        }
    }

    fn leave(&mut self, pause: &Pause<'_>) -> ControlFlow<()> {
        let steps = pause.next.iter().map(|step| step.id).collect();
        self.left = Some(Left { steps, next: next(pause.next), model: pause.model() });
        ControlFlow::Break(())
    }
}

/// What comes next, in words.
fn next(steps: &[Step]) -> String {
    let words = |step: &Step| format!("step {}  client {}  {}", step.id, step.client, brief(step));
    match steps {
        [] => "the run's own checks".to_string(),
        [step] => words(step),
        steps => format!("at once: {}", steps.iter().map(words).collect::<Vec<_>>().join("; ")),
    }
}

/// What a person can type.
const KEYS: &str = "keys         Enter: play the next, s: what the model has learnt since the last stop, w: all that it knows of the entity that is next, c: go on to the end, q: stop";

enum Key {
    Next,
    GoOn,
    Leave,
    Show,
    Whole,
    Other,
}

/// What was typed. Whoever has nothing more to say has the run go on.
fn key() -> Key {
    let _ = io::stdout().flush();
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => Key::GoOn,
        Ok(_) => match line.trim() {
            "" => Key::Next,
            "c" => Key::GoOn,
            "q" => Key::Leave,
            "s" => Key::Show,
            "w" => Key::Whole,
            _ => Key::Other,
        },
    }
}

/// All that the model knows of the entities of the next steps.
fn show_whole(pause: &Pause<'_>) {
    let mut whos: Vec<_> = pause.next.iter().filter_map(|step| step.action.who()).collect();
    whos.dedup();
    if whos.is_empty() {
        say("  no entity is asked for next");
    }
    for who in whos {
        match pause.entity(who) {
            Some(shown) => say(serde_json::to_string_pretty(&shown).unwrap_or_default()),
            None => say("  the model has not heard of it"),
        }
    }
}

/// A run that was left.
struct Left {
    steps: Vec<u32>,
    next: String,
    model: Value,
}

impl Left {
    /// Leaves the files of the disk and the model's state for a look, and says where.
    fn tell(
        self,
        source: &Source,
        path: &Path,
        manner: &Manner<'_>,
        played: &Played,
    ) -> Result<Done, Error> {
        let Left { steps, next, model } = self;
        let before = steps.first().map_or("end".to_string(), u32::to_string);
        let folder = manner.folder(path, &before)?;
        let text = serde_json::to_string_pretty(&model)?;
        let files = bundle::write_stop(&folder, source, played, &text)?;
        if !manner.by_key {
            say_story(&played.story);
            say("");
        }
        found(format!("stopped      before {next}; the server is up"));
        tell_files(&files, &folder, "");
        let is_database = |file: &&PathBuf| file.extension().is_some_and(|end| end == "db");
        if let Some(database) = files.iter().find(is_database) {
            found(format!("look         sqlite3 '{}' .tables", database.display()));
        }
        let mut result = as_json(source.scenario(), played)?;
        // It was left: no verdict is due.
        result["outcome"] = Value::Null;
        result["stop"] =
            json!({ "before_steps": steps, "folder": folder, "files": files, "model": model });
        Done::new(0, result)
    }
}

/// Says where the files of the disk are, and the model's state.
fn tell_files(files: &[PathBuf], folder: &Path, when: &str) {
    files.iter().for_each(|file| found(format!("file         {}", file.display())));
    found(format!("model        {}{when}", folder.join(bundle::MODEL).display()));
}

fn default_folder(path: &Path, before: &str) -> PathBuf {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Path::new(FINDINGS).join(format!("until-{name}-{before}"))
}
