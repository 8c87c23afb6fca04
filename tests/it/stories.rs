//! What people read, word for word. After a change of the generator or of a text:
//! `INSTA_UPDATE=always cargo test stories messages`, and the difference is there to be reviewed.

use crate::command::{Ran, masked, passed, stormglass};
use insta::assert_snapshot;

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
