//! Tells the program which compiler built it and for what, and which probes its sources have; and refuses to build
//! what draws numbers behind the simulated runtime's back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where the platform's sources are.
const PLATFORM: &str = "../src";
/// How a probe begins, up to its name.
const PROBE: &str = "probe!(";

/// What names every dependency of the workspace, and what says which of this package's are for tests.
const LOCK: &str = "../Cargo.lock";
const MANIFEST: &str = "Cargo.toml";
/// Who alone may depend on what draws numbers by a raw system call: madsim, which never asks it in a run, and the
/// draw that the tests plant.
const MAY_DRAW: [(&str, &[&str]); 5] = [
    ("getrandom 0.2", &["rand_core", "stormglass-scenarios"]),
    ("rand_core 0.6", &["rand", "rand_chacha", "rand_xoshiro"]),
    ("rand_chacha 0.3", &["rand"]),
    ("rand_xoshiro 0.6", &["madsim"]),
    ("rand 0.8", &["madsim"]),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LOCK}");
    refuse_raw_draws();
    println!("cargo::rerun-if-changed={PLATFORM}");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_string());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.unwrap_or_else(|| "rustc of an unknown version".to_string());
    println!("cargo::rustc-env=STORMGLASS_RUSTC={}", version.trim());
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=STORMGLASS_TARGET={target}");
    for name in ["libsql", "wasmtime"] {
        let variable = format!("STORMGLASS_{}", name.to_uppercase());
        println!("cargo::rustc-env={variable}={}", locked(name));
    }
    let (of_damage, others): (Vec<_>, Vec<_>) = probes().into_iter().partition(|(_, of)| *of);
    let names = |probes: Vec<(String, bool)>| probes.into_iter().map(|(name, _)| name).collect();
    let (of_damage, others): (Vec<String>, Vec<String>) = (names(of_damage), names(others));
    let text = format!(
        "/// Those of the platform.\npub const PLATFORM: &[&str] = &{others:?};\n\
         /// Those of the platform to which only damaged data lead.\n\
         pub const OF_DAMAGE: &[&str] = &{of_damage:?};\n"
    );
    let out = env::var("OUT_DIR").expect("cargo names a folder for what is built");
    fs::write(Path::new(&out).join("probes.rs"), text).expect("that folder can be written");
}

/// The version of a dependency, as it is locked.
fn locked(name: &str) -> String {
    let lock = fs::read_to_string(LOCK).expect("the lock file is part of the checkout");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("unknown", |(version, _)| version).to_string()
}

/// getrandom 0.2 makes a raw system call, which madsim does not see: a run with such a draw is another run in every
/// process. What depends on it, but those above, does not get into a run.
fn refuse_raw_draws() {
    let lock = fs::read_to_string(LOCK).expect("the workspace has a Cargo.lock");
    let manifest = fs::read_to_string(MANIFEST).expect("this package has a manifest");
    let (for_runs, _) = manifest.split_once("[dev-dependencies]").unwrap_or((&manifest, ""));
    assert!(!for_runs.contains("getrandom"), "{MANIFEST}: getrandom is for the tests alone");
    let packages = || lock.split("[[package]]\nname = \"").skip(1);
    for (what, may) in MAY_DRAW {
        let (name, version) = what.split_once(' ').expect("a name and the beginning of a version");
        let stands =
            |package: &&str| package.starts_with(&format!("{name}\"\nversion = \"{version}."));
        let is_there = packages().any(|package| stands(&package));
        let names = |line: &str| {
            let line = line.trim_matches([' ', '"', ',']);
            // Of several versions the one that is meant is named.
            line == name || line.starts_with(&format!("{what}."))
        };
        for package in packages().filter(|package| is_there && package.lines().any(names)) {
            let (user, _) = package.split_once('"').expect("a package has a name");
            assert!(
                may.contains(&user) || user == name,
                "{user} depends on {what}, and so draws behind the simulated runtime's back: no run could be \
                 played again"
            );
        }
    }
}

/// The names of the platform's probes, as they stand in its text, and whether only damaged data lead there: a list
/// of their own could lag behind.
fn probes() -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    let mut left = vec![PathBuf::from(PLATFORM)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the platform is part of the checkout");
            left.extend(entries.map(|entry| entry.expect("a folder that can be read").path()));
            continue;
        }
        let text = fs::read_to_string(&path).expect("the platform's sources are text");
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let (text, file) = (lines.collect::<Vec<_>>().join("\n"), path.display());
        for after in text.split(PROBE).skip(1) {
            let name = after.trim_start().strip_prefix('"').and_then(|name| name.split_once('"'));
            let (name, rest) = name.unwrap_or_else(|| panic!("{file}: a probe without a name"));
            let of_damage = rest.trim_start().starts_with(", damage");
            let is_taken = names.insert(name.to_string(), of_damage).is_some();
            assert!(!is_taken, "{file}: two places are called `{name}`: one would hide the other");
        }
    }
    names
}
