//! Specs as their authors meet them, the project's own and those of a folder that is not part of it.

mod driven;
mod readings;

use crate::command::{Ran, file, stormglass};
use insta::assert_snapshot;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The specs of a folder, by name.
fn specs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder that can be read").path());
    let is_spec = |path: &PathBuf| path.to_string_lossy().ends_with(".ioa.toml");
    let mut specs: Vec<PathBuf> = paths.filter(is_spec).collect();
    specs.sort();
    specs
}

fn own_specs() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    ["tests/specs", "scenarios/specs"].iter().flat_map(|at| specs_in(&root.join(at))).collect()
}

/// Specs that are not part of the project, if there are any.
fn extra_specs() -> Vec<PathBuf> {
    match env::var_os("STORMGLASS_EXTRA_SPECS") {
        Some(folder) => specs_in(Path::new(&folder)),
        None => {
            println!("SKIPPED: STORMGLASS_EXTRA_SPECS names no folder of specs");
            Vec::new()
        }
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    name.trim_end_matches(".ioa.toml").to_string()
}

fn check(path: &Path) -> Ran {
    stormglass(&["spec", "check", path.to_str().expect("a path of plain letters")])
}

#[test]
fn what_each_own_spec_declares() {
    for path in own_specs() {
        let Ran { code, out, err } = check(&path);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{}", path.display());
        let folder = path.parent().and_then(Path::file_name).expect("a file is in a folder");
        let owner = path.ancestors().nth(2).and_then(Path::file_name).expect("in another one");
        let name = format!("{}_{}", owner.to_string_lossy(), name_of(&path));
        assert_eq!(folder, "specs");
        assert_snapshot!(name, out.replace(&path.display().to_string(), "FILE"));
    }
}

/// Goal: errors of several files in one call, each with its line. Method: one that is no TOML, and one
/// whose newer keys `--lenient` takes.
#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    let twice = file("twice.ioa.toml", "[automaton]\nname = \"T\"\nname = \"T\"\n");
    let head = "[automaton]\nname = \"T\"\nstates = [\"A\"]\ninitial = \"A\"\n";
    let newer = file("newer.ioa.toml", &format!("{head}[[action]]\nname = \"Go\"\nretrys = 3\n"));
    let [twice, newer] = [&twice, &newer].map(|path| path.to_str().expect("plain letters"));
    let told = |arguments: &[&str]| {
        let Ran { code, out, err } = stormglass(&[&["spec", "check"], arguments].concat());
        assert_eq!(err, "");
        (code, out.replace(twice, "twice.toml").replace(newer, "newer.toml"))
    };
    let (code, both) = told(&[twice, newer]);
    assert_eq!(code, Some(2));
    let (code, lenient) = told(&["--lenient", newer]);
    assert_eq!(code, Some(0));
    assert_snapshot!(format!("{both}\n----\n\n{lenient}"));
    let absent = stormglass(&["spec", "check", "absent.ioa.toml"]);
    assert_eq!((absent.code, absent.out.as_str()), (Some(2), ""));
    assert!(absent.err.starts_with("error: absent.ioa.toml: "), "{}", absent.err);
}

/// Goal: public specs stay readable. Method: each is checked; what is no TOML is refused with exactly what
/// the parser of TOML says, and its place.
#[test]
fn extra_specs_are_taken_or_refused_for_their_toml_alone() {
    for path in extra_specs() {
        let text = fs::read_to_string(&path).expect("a spec is text");
        let Ran { code, out, .. } = check(&path);
        let Some(error) = toml::from_str::<toml::Table>(&text).err() else {
            assert_eq!(code, Some(0), "{out}");
            continue;
        };
        assert_eq!(code, Some(2), "{out}");
        let at = error.span().expect("an error of the text has a place").start;
        let line = text[..at].matches('\n').count() + 1;
        let column = text[..at].chars().rev().take_while(|letter| *letter != '\n').count() + 1;
        let file = path.display();
        let expected = format!("error: {file}:{line}:{column}: spec: {}\n", error.message());
        assert!(out.starts_with(&expected), "{out}\n{expected}");
        assert_eq!(out.matches("error: ").count(), 1, "{out}");
    }
}
