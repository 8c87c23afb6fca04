//! The binary as people call it: arguments in; exit code, standard output and standard error out.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a call of the binary came to.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the command line in a process of its own.
pub fn stormglass(arguments: &[&str]) -> Ran {
    // What a call leaves is left here, and not beside the tests.
    stormglass_in(Path::new(env!("CARGO_TARGET_TMPDIR")), arguments)
}

/// The same, called from another folder.
pub fn stormglass_in(folder: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(arguments)
        .current_dir(folder)
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

/// The promise that a told failure broke, with its place: `I5 no dangling reference: row missing`.
pub fn broken(text: &str) -> &str {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("FAIL "));
    let head = lines.next().unwrap_or_else(|| panic!("no failure in\n{text}"));
    // It has a line of its own where the name of the run is long.
    head.split("   ").nth(2).or_else(|| lines.next()).expect("a promise").trim()
}

/// A failure as it is told, without what differs from host to host and from build to build: the seconds that
/// shrinking took, and the line of the build.
pub fn masked(text: &str) -> String {
    let mut told = String::new();
    for line in text.lines() {
        let (head, rest) = line.split_at(line.len().min("  build ".len()));
        told += &match (head, rest.rsplit_once(" runs, ")) {
            ("  build ", _) => "  build      (this build)".to_string(),
            ("  shrunk", Some((before, _))) => format!("{head}{before} runs, (seconds))"),
            _ => line.to_string(),
        };
        told += "\n";
    }
    told
}

/// A file outside the source tree, with this text. Each test has names of its own.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder for tests can be written");
    path
}

/// A folder of a test's own, empty but for `inside`.
pub fn folder(name: &str, inside: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("the folder for tests can be written");
    }
    std::fs::create_dir_all(folder.join(inside)).expect("the folder for tests can be written");
    folder
}

/// Goal: a committed text is what the tool prints. With `INSTA_UPDATE=always` it becomes that.
pub fn assert_committed(path: &str, printed: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(&path, printed).expect("the checkout can be written");
    }
    let committed = std::fs::read_to_string(&path);
    let committed = committed.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    assert_eq!(committed, printed, "{} is not what is printed", path.display());
}

/// The plans of a folder of `tests/`, by name.
pub fn plans_in(folder: &str) -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder is part of the checkout");
    let paths = entries.map(|entry| entry.expect("a folder that can be read").path());
    let plans = paths.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut plans: Vec<_> = plans.map(|path| (name(&path), path)).collect();
    plans.sort();
    plans
}
