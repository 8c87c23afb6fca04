//! Writing a bundle, as a draft beside its place.
//!
//! **Invariant:** a draft is put in place when all is in it. What a run leaves is written by the process that played
//! it; what two processes say of it, and how it is told, by whoever keeps it.

use super::{CRASHES, DISK, MODEL, OUTCOME, Recorded, SECOND_TRACE, STORY, Source, TRACE};
use super::{is_judged, read};
use crate::determinism::{self, Comparison};
use crate::failure::{Failure, Screen};
use crate::report::{self, scenes::Scenes};
use crate::verdict::{Outcome, Played, Verdict};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes what is known without playing: the plan, the outcome and the page of these.
///
/// # Errors
/// What the host says.
pub fn write_plain(folder: &Path, source: &Source, recorded: &Recorded) -> io::Result<()> {
    let draft = draft_of(folder)?;
    write_source(&draft, source)?;
    finish(&draft, folder, recorded).map(drop)
}

/// Writes the plan and the outcome of a failure that is about to be shrunk: what comes of that has the page.
///
/// # Errors
/// What the host says.
pub fn write_pageless(folder: &Path, source: &Source, recorded: &Recorded) -> io::Result<()> {
    let draft = draft_of(folder)?;
    write_source(&draft, source)?;
    tell(&draft, folder, recorded)?;
    put_in_place(&draft, folder)
}

/// Writes a whole bundle: with what the run leaves, which is played once more in this process for that, and by
/// two fresh processes of `program` that must leave equal traces. Without, and no run is returned, where its end
/// would take this process along. Also returned is what was recorded.
///
/// # Errors
/// What the host says, or that there can be no world.
pub fn write_played(
    folder: &Path,
    source: &Source,
    recorded: &Recorded,
    program: &Path,
) -> io::Result<(Recorded, Option<Played>)> {
    if !is_judged(&recorded.outcome.verdict) {
        return write_plain(folder, source, recorded).map(|()| (recorded.clone(), None));
    }
    let played = source.play(true).map_err(io::Error::other)?;
    let draft = draft_of(folder)?;
    write_remains(&draft, source, &played)?;
    let recorded = confirmed(&draft, recorded, program)?;
    finish(&draft, folder, &recorded)?;
    Ok((recorded, Some(played)))
}

/// Has two fresh processes replay a draft. Where they part nobody is accused but the harness.
///
/// # Errors
/// What the host says.
pub fn confirmed(draft: &Path, recorded: &Recorded, program: &Path) -> io::Result<Recorded> {
    write_recorded(draft, recorded)?;
    let arguments = ["replay".to_string(), draft.display().to_string(), "--trace".to_string()];
    let recorded = recorded.clone();
    let compared = determinism::compare(program, &arguments)?;
    let Some(why) = compared.why_broken() else {
        return Ok(Recorded { is_confirmed: true, ..recorded });
    };
    if let Comparison::Differ(_) = compared.comparison {
        write_traces(draft, &compared.traces)?;
    }
    let outcome = Outcome { verdict: Verdict::HarnessBroken(why), ..recorded.outcome.clone() };
    Ok(recorded.with_outcome(outcome))
}

/// Writes what a run left into a folder that is still a draft: everything but the outcome.
///
/// # Errors
/// What the host says.
pub fn write_remains(draft: &Path, source: &Source, played: &Played) -> io::Result<()> {
    fs::create_dir_all(draft)?;
    write_source(draft, source)?;
    let mut trace = io::BufWriter::new(fs::File::create(draft.join(TRACE))?);
    for record in &played.records {
        writeln!(trace, "{}", serde_json::to_string(record)?)?;
    }
    trace.flush()?;
    fs::write(draft.join(STORY), played.story.join("\n"))?;
    let crashes = serde_json::to_string(&Scenes::of(played))?;
    fs::write(draft.join(CRASHES), crashes + "\n")?;
    write_disk(draft, played).map(drop)
}

/// Writes the files of the disk; returns their paths beneath the folder.
fn write_disk(folder: &Path, played: &Played) -> io::Result<Vec<PathBuf>> {
    let Some(disk) = &played.disk else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for path in disk.paths() {
        let file = Path::new(DISK).join(path.trim_start_matches('/'));
        let whole = folder.join(&file);
        fs::create_dir_all(whole.parent().unwrap_or(folder))?;
        fs::write(whole, disk.contents(path).unwrap_or_default())?;
        files.push(file);
    }
    Ok(files)
}

/// Writes a run that was left between two steps: the plan, the story so far, the disk's files and what the model
/// knew. Returns the paths of the disk's files.
///
/// # Errors
/// What the host says.
pub fn write_stop(
    folder: &Path,
    source: &Source,
    played: &Played,
    model: &str,
) -> io::Result<Vec<PathBuf>> {
    let draft = draft_of(folder)?;
    write_source(&draft, source)?;
    fs::write(draft.join(MODEL), format!("{model}\n"))?;
    let lines = played.story.iter().flat_map(|line| Screen::PLAIN.of_story(line));
    let story: String = lines.map(|line| line + "\n").collect();
    fs::write(draft.join(STORY), story)?;
    let files = write_disk(&draft, played)?;
    put_in_place(&draft, folder)?;
    Ok(files.iter().map(|file| folder.join(file)).collect())
}

pub(super) fn write_traces(draft: &Path, [first, second]: &[String; 2]) -> io::Result<()> {
    fs::write(draft.join(TRACE), first)?;
    fs::write(draft.join(SECOND_TRACE), second)
}

/// Completes a draft with its outcome, its story as it is told and its page, and puts it into its place. Returns
/// the failure, to be told elsewhere.
///
/// # Errors
/// What the host says.
pub fn finish(draft: &Path, folder: &Path, recorded: &Recorded) -> io::Result<Option<Failure>> {
    let failure = tell(draft, folder, recorded)?;
    report::write_failure(draft, folder)?;
    put_in_place(draft, folder).map(|()| failure)
}

/// Writes the outcome, and the story as a person is told it.
fn tell(draft: &Path, folder: &Path, recorded: &Recorded) -> io::Result<Option<Failure>> {
    write_recorded(draft, recorded)?;
    let (source, _) = read(draft).map_err(io::Error::other)?;
    let file = draft.join(STORY);
    let story = fs::read_to_string(&file).unwrap_or_default();
    let story: Vec<String> = story.lines().map(str::to_string).collect();
    let failure = Failure::of_bundle(folder, (&source, recorded), &story);
    let told = match &failure {
        Some(failure) => failure.told(Screen::PLAIN),
        None => format!("{}\n\n{}\n", story.join("\n"), recorded.outcome.verdict.in_words()),
    };
    fs::write(file, told).map(|()| failure)
}

/// An empty folder beside the place of a bundle, to be written into.
///
/// # Errors
/// What the host says.
pub fn draft_of(folder: &Path) -> io::Result<PathBuf> {
    let draft = folder.with_extension("new");
    remove(&draft)?;
    fs::create_dir_all(&draft)?;
    Ok(draft)
}

/// What stood there is set aside first, so that one of the two is whole at any moment.
fn put_in_place(draft: &Path, folder: &Path) -> io::Result<()> {
    let aside = folder.with_extension("old");
    remove(&aside)?;
    if folder.exists() {
        fs::rename(folder, &aside)?;
    }
    fs::rename(draft, folder)?;
    remove(&aside)
}

/// Takes a draft, or any folder, away.
///
/// # Errors
/// What the host says.
pub fn remove(folder: &Path) -> io::Result<()> {
    if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) }
}

pub(super) fn write_source(draft: &Path, source: &Source) -> io::Result<()> {
    let (file, text) = source.file();
    fs::write(draft.join(file), text + "\n")
}

fn write_recorded(draft: &Path, recorded: &Recorded) -> io::Result<()> {
    fs::write(draft.join(OUTCOME), serde_json::to_string_pretty(recorded)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::recorded;
    use super::*;
    use crate::what::What;
    use stormglass_sim::Seed;

    /// Goal: a run that another process makes otherwise accuses nobody. Method: a program that leaves another trace
    /// each time, one that leaves none, and one that is as it should be.
    #[test]
    fn a_failure_that_two_processes_make_otherwise_accuses_the_harness() {
        let out = std::env::temp_dir().join(format!("stormglass-twins-{}", std::process::id()));
        let source = What::with_defect(None).source(Seed(1)).unwrap();
        let confirmed_by = |text: &str| {
            let draft = draft_of(&out.join("bundle")).unwrap();
            // A shell runs the text: the arguments of a replay are for it to ignore.
            let program = draft.join("program");
            fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&program, mode).unwrap();
            confirmed(&draft, &recorded(&source), &program).unwrap()
        };
        let sound = confirmed_by("echo '{}'; echo '{}'");
        assert!(sound.is_confirmed && matches!(sound.outcome.verdict, Verdict::Violated(_)));
        for (text, why) in [
            (
                "echo '{}'; echo \"{\\\"own\\\":$$}\"",
                "two processes make other runs of it: the runs part at record 2",
            ),
            ("echo oh >&2", "a process ended without a trace: oh"),
        ] {
            let recorded = confirmed_by(text);
            let Verdict::HarnessBroken(told) = &recorded.outcome.verdict else { panic!("{text}") };
            assert!(!recorded.is_confirmed && told.starts_with(why), "{told}");
            assert_eq!(recorded.signature.unwrap().invariant, "harness-broken");
        }
        remove(&out).unwrap();
    }
}
