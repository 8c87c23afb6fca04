//! The binary as people call it: arguments in; exit code, standard output and standard error out.

use std::path::PathBuf;
use std::process::Command;

/// What a call of the binary came to.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the command line in a process of its own.
pub fn stormglass(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(arguments)
        .output()
        .expect("the binary of this package starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The standard output of a call that must pass.
pub fn passed(arguments: &[&str]) -> String {
    let ran = stormglass(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}\n{}{}", ran.out, ran.err);
    ran.out
}

/// What stands behind `head` in the line that begins with it.
pub fn line<'a>(text: &'a str, head: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(head));
    line.unwrap_or_else(|| panic!("no line `{head}` in\n{text}")).trim()
}

/// A file outside the source tree, with this text. Each test has names of its own.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder for tests can be written");
    path
}
