//! What people read, word for word. After a change of the generator or of a text:
//! `INSTA_UPDATE=always cargo test stories messages`, and the difference is there to be reviewed.

use crate::command::{
    Ran, assert_committed, broken, folder, masked, passed, stormglass, stormglass_in,
};
use insta::assert_snapshot;
use std::collections::BTreeMap;
use std::path::Path;

/// A healthy run: clients, a crash, recovery and checks in less than one screen.
#[test]
fn the_story_of_a_healthy_run() {
    let story = passed(&["run", "--seed", "42"]);
    let line_count = story.lines().count();
    assert!(line_count < 45, "{line_count} lines are more than a screen");
    assert_snapshot!(story);
}

/// A failing run ends with what was promised, what was found, and the command that shows it again.
#[test]
fn the_story_of_a_failing_run() {
    let Ran { code, out, err } =
        stormglass(&["run", "--scenario", "restart", "--seed", "8", "--defect", DEFECT]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_snapshot!(masked(&out));
}

/// Found by its seed above.
const DEFECT: &str = "lost-ack-rolls-back";

#[test]
fn the_list_of_everything_that_has_a_name() {
    assert_snapshot!(passed(&["list"]));
}

#[test]
fn the_help_of_every_command() {
    let commands: [&[&str]; 11] = [
        &[],
        &["run"],
        &["campaign"],
        &["replay"],
        &["shrink"],
        &["check-determinism"],
        &["explore"],
        &["defects"],
        &["live"],
        &["spec", "check"],
        &["list"],
    ];
    let help = commands.map(|command| passed(&[command, &["--help"]].concat()));
    assert_snapshot!(help.join("\n----\n\n"));
}

/// The commands of each story, as `docs/stories/README.md` names them.
fn commands_of_stories() -> BTreeMap<String, Vec<String>> {
    let text = include_str!("../../docs/stories/README.md");
    let sections = text.split("\n## ").skip(1).map(|section| {
        let (name, rest) = section.split_once('\n').expect("a name");
        let commands = rest.lines().filter_map(|line| line.strip_prefix("cargo stormglass "));
        (name.to_string(), commands.map(str::to_string).collect())
    });
    sections.collect()
}

/// Goal: from a campaign to a kept plan in two commands, and what a person is told on the way is what the
/// documentation shows. Method: both commands of each story as they stand in its README, in an empty checkout.
#[test]
fn docs_stories_are_what_two_commands_print() {
    let stories = commands_of_stories();
    assert_eq!(stories.len(), 10);
    for (name, commands) in stories {
        let [campaign, shrink] = &commands[..] else { panic!("{name} has two commands") };
        let checkout = folder(&format!("story-{name}"), "tests/defects");
        let run = |command: &str| stormglass_in(&checkout, &command.split(' ').collect::<Vec<_>>());
        let found = run(campaign);
        assert_eq!(found.code, Some(1), "{name}\n{}{}", found.out, found.err);
        let Ran { code, out, err } = run(shrink);
        assert_eq!((code, err.as_str()), (Some(1), ""), "{name}\n{}\n{out}", found.out);
        let story = masked(&out);
        is_one_screen(&story);
        is_plain(&story);
        // The campaign has told the same failure.
        assert!(found.out.contains(broken(&out)), "{}", found.out);
        assert_committed(&format!("docs/stories/{name}.txt"), &story);
        is_found_by(&checkout.join(format!("tests/defects/{name}.json")), &name);
    }
}

fn is_one_screen(story: &str) {
    assert!(story.lines().count() <= 40, "{story}");
    let is_command = |line: &&str| line.contains(" cargo stormglass ");
    let wide = story.lines().filter(|line| line.chars().count() > 100 && !is_command(line));
    assert_eq!(wide.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(
        story.contains("\n  replayed   twice in fresh processes, traces identical\n"),
        "{story}"
    );
}

/// Goal: what was expected and found reads as words and times. Method: the source of whoever says it, for values as
/// Rust prints them and times as numbers; so do the stories themselves, above.
#[test]
fn no_check_tells_a_value_as_the_program_has_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut raw, mut file_count) = (Vec::new(), 0);
    for folder in ["model", "scenarios/check"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder of the checkout") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|end| end != "rs") || path.ends_with("self_test.rs") {
                continue;
            }
            file_count += 1;
            let text = std::fs::read_to_string(&path).expect("a source");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_raw = |line: &&str| line.contains(":?}") || line.contains("_ms} ms");
            raw.extend(text.lines().filter(is_raw).map(|line| format!("{path:?}: {line}")));
        }
    }
    assert!(file_count > 30, "{file_count} sources");
    assert_eq!(raw, Vec::<String>::new());
}

/// No value as Rust prints it, and no time as a number of milliseconds.
fn is_plain(story: &str) {
    let is_digits = |word: &str| word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = || story.split(|letter: char| !letter.is_ascii_alphanumeric());
    let raw: Vec<&str> = words().filter(|word| is_digits(word) || *word == "Some").collect();
    assert_eq!(raw, Vec::<&str>::new(), "{story}");
}

/// A kept plan fails with its defect, and passes without.
fn is_found_by(plan: &Path, defect: &str) {
    let plan = plan.to_str().expect("a path of plain letters");
    assert_eq!(stormglass(&["replay", plan, "--defect", defect]).code, Some(1));
    passed(&["replay", plan]);
}
