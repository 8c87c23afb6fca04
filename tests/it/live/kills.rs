//! `kill -9` under load, as often as `STORMGLASS_LIVE_KILLS` says.

use super::{folder, program};
use crate::command::{line, stormglass};
use std::os::unix::fs::PermissionsExt;

/// Kills in an ordinary test run.
const KILLS: &str = "5";

fn number(text: &str) -> u64 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number begins `{text}`"))
}

/// Goal: no kill loses what was acknowledged or leaves a reference without its body. Method: clients at
/// work, kills at any moment, every answer and every row against the model.
#[test]
fn kills_under_load_lose_nothing() {
    let kills = std::env::var("STORMGLASS_LIVE_KILLS").unwrap_or(KILLS.to_string());
    let at = folder("kills").join("run");
    let (server, at) = (program().to_string_lossy(), at.to_string_lossy());
    let asked = ["live", "--server", &server, "--kills", &kills, "--folder", &at, "--quiet"];
    let ran = stormglass(&asked);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    println!("{}", ran.out);
    assert_eq!(ran.out.lines().last(), Some("passed"));
    assert_eq!(line(&ran.out, "kills").split(',').next(), Some(kills.as_str()));
    assert!(number(line(&ran.out, "acknowledged")) > number(&kills), "{}", ran.out);
    assert_eq!(line(&ran.out, "unverified"), "0");
}

/// Goal: the loop finds a server that loses what it acknowledged. Method: a script in its place, which
/// puts an older copy of the data back before the fourth start.
#[test]
fn a_server_that_forgets_is_found() {
    let at = folder("forgetful");
    let script = at.join("server.sh");
    let text = format!(
        "#!/bin/sh\n\
        data=\"$2\"; count=\"$data.count\"; kept=\"$data.kept\"\n\
        n=$(($(cat \"$count\" 2>/dev/null || echo 0) + 1)); echo $n > \"$count\"\n\
        [ $n = 3 ] && cp -r \"$data\" \"$kept\"\n\
        [ $n = 5 ] && rm -r \"$data\" && cp -r \"$kept\" \"$data\"\n\
        exec '{}' \"$@\"\n",
        program().display()
    );
    std::fs::write(&script, text).expect("the folder for tests can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("the script is ours");
    let run = at.join("run");
    let (script, run) = (script.to_string_lossy(), run.to_string_lossy());
    let asked = ["live", "--server", &script, "--kills", "8", "--seed", "7", "--folder", &run];
    let ran = stormglass(&asked);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let verdict = ran.out.lines().last().expect("it says something");
    assert!(verdict.starts_with("violated I1") || verdict.starts_with("violated I2"), "{verdict}");
}

#[test]
fn a_server_that_is_none_is_the_harnesss_trouble() {
    let run = folder("none").join("run");
    let asked = ["live", "--server", "/bin/false", "--folder", &run.to_string_lossy()];
    let ran = stormglass(&asked);
    assert_eq!(ran.code, Some(3), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("harness broken: the server did not come up"), "{}", ran.out);
    let missing = stormglass(&["live", "--server", "/nope"]);
    assert_eq!(missing.code, Some(2), "{}{}", missing.out, missing.err);
    let command = missing.err.split("this builds one: ").nth(1).expect("a command").trim();
    assert!(include_str!("../../../README.md").contains(command), "{command}");
}
