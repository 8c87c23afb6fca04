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

/// A kept plan fails with its defect, and passes without.
fn is_found_by(plan: &Path, defect: &str) {
    let plan = plan.to_str().expect("a path of plain letters");
    assert_eq!(stormglass(&["replay", plan, "--defect", defect]).code, Some(1));
    passed(&["replay", plan]);
}
