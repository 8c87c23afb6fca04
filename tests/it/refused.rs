//! What clippy refuses in this project: each thing that would make two runs of one plan differ.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Clippy's driver, as `cargo clippy` calls it; nothing where it is not installed.
fn driver(file: &Path) -> Option<Command> {
    let ask = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(text.trim().to_string())
    };
    let sysroot = ask("rustc", &["--print", "sysroot"])?;
    ask("clippy-driver", &["--version"])?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new("clippy-driver");
    command
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--sysroot",
            &sysroot,
        ])
        .args(["-D", "clippy::disallowed_methods", "-D", "clippy::disallowed_types"])
        .arg("--out-dir")
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .arg(file)
        .env("CLIPPY_CONF_DIR", root);
    Some(command)
}

/// What clippy says of a crate with this text, under this project's clippy.toml.
fn said(name: &str, text: &str) -> Option<(bool, String)> {
    let file = crate::command::file(&format!("{name}.rs"), text);
    let output = driver(&file)?.output().ok()?;
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Goal: no clock, no order and no thread of the host gets into a run by way of the standard library. Method: a
/// crate each that uses one of them, and one that uses none.
#[test]
fn a_host_clock_a_hash_map_and_a_thread_are_refused() {
    let Some((is_accepted, text)) = said("refused_nothing", "pub fn f() -> u32 { 1 }\n") else {
        println!("SKIPPED: there is no clippy here");
        return;
    };
    assert!(is_accepted, "{text}");
    let cases = [
        ("std::time::SystemTime::now", "let _ = std::time::SystemTime::now();"),
        ("std::time::Instant::now", "let _ = std::time::Instant::now();"),
        ("std::collections::HashMap", "let _ = std::collections::HashMap::<u8, u8>::new();"),
        ("std::collections::HashSet", "let _ = std::collections::HashSet::<u8>::new();"),
        ("std::thread::spawn", "drop(std::thread::spawn(|| {}));"),
        ("std::thread::sleep", "std::thread::sleep(std::time::Duration::ZERO);"),
    ];
    for (number, (path, statement)) in cases.into_iter().enumerate() {
        let name = format!("refused_{number}");
        let text = format!("pub fn f() {{ {statement} }}\n");
        let (is_accepted, told) = said(&name, &text).expect("clippy is there");
        assert!(!is_accepted, "{path} is not refused");
        let refused =
            ["method", "type"].map(|kind| format!("error: use of a disallowed {kind} `{path}`"));
        assert!(refused.iter().any(|line| told.contains(line)), "{path}: {told}");
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the checkout").filter_map(Result::ok)
    {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
}

/// Goal: the platform makes no exception for itself but where the deployed server meets its host. Method: its text,
/// and the lints that every package of the workspace takes over.
#[test]
fn the_platform_makes_no_exceptions_and_every_package_has_the_lints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 50, "{} files", files.len());
    let read = |path: &Path| std::fs::read_to_string(path).expect("text");
    let excused: Vec<PathBuf> = files
        .into_iter()
        .filter(|path| read(path).contains("clippy::disallowed"))
        .map(|path| path.strip_prefix(&root).expect("of the checkout").to_path_buf())
        .collect();
    assert_eq!(excused, [PathBuf::from("src/live/seams.rs")]);
    for package in ["", "sim", "model", "scenarios"] {
        let manifest = read(&root.join(package).join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package}");
    }
    let workspace = read(&root.join("Cargo.toml"));
    for lint in ["disallowed_methods = \"deny\"", "disallowed_types = \"deny\""] {
        assert!(workspace.contains(lint), "{lint}");
    }
}
