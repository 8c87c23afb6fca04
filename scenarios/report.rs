//! Pages for people: one for a failure, one for a campaign. A page is one file that asks no network for anything.
//!
//! **Invariant:** a page is made of what lies in its folder and of nothing else, so that it can be made again by
//! `cargo stormglass report`. Its words are in the markup, and stay readable without its script.

pub mod campaign;
mod crash;
mod diff;
mod failure;
mod plot;
mod records;
pub mod scenes;
pub mod state;
mod tables;
mod text;
mod timeline;

use crate::bundle::OUTCOME;
use crate::campaign::RUNS;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use stormglass_sim::Digest;

/// The page's file.
pub const REPORT: &str = "report.html";

const CSS: &str = include_str!("report/report.css");
const REPORT_JS: &str = include_str!("report/report.js");

/// What every page has around its words.
struct Frame {
    title: String,
    css: &'static str,
    /// Data for the script, escaped.
    data: String,
    scripts: String,
    /// Scripts that do not say it are not run: it is drawn from all of them, so that no value can know it.
    nonce: String,
}

impl Frame {
    fn new(title: String, data: String, scripts: &[&str]) -> Frame {
        let scripts = scripts.concat();
        let nonce = Digest::of(format!("{title}{data}{scripts}").as_bytes()).to_string();
        Frame { title, css: CSS, data, scripts, nonce }
    }
}

/// Writes the page of a campaign's folder or of a bundle's, and says where it is.
///
/// # Errors
/// What the host says of its files, with the path; that it is neither.
pub fn write(folder: &Path) -> io::Result<PathBuf> {
    if folder.join(OUTCOME).is_file() {
        let whole = fs::canonicalize(folder).map_err(|error| named(folder, error))?;
        return write_failure(folder, &whole);
    }
    if folder.join(RUNS).is_file() {
        return put(folder, &campaign::page(folder)?);
    }
    let why = format!(
        "{}: no folder of a campaign ({RUNS}) or of a bundle ({OUTCOME})",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}

/// Writes the page of the bundle in `draft`, which is to lie in `place`.
///
/// # Errors
/// As [`write`].
pub fn write_failure(draft: &Path, place: &Path) -> io::Result<PathBuf> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    put(draft, &failure::page(draft, &name)?)
}

fn put(folder: &Path, page: &str) -> io::Result<PathBuf> {
    let path = folder.join(REPORT);
    fs::write(&path, page).map_err(|error| named(&path, error))?;
    Ok(path)
}

/// Why a line of a file, counted from 1, is none that is known.
fn of_line(path: &Path, line: usize, error: &serde_json::Error) -> io::Error {
    let told = error.to_string();
    // It was read alone: what it calls line 1 is this one.
    let why = told.rsplit_once(" at line ").map_or(told.as_str(), |(why, _)| why);
    let column = error.column();
    let place = format!("{}: line {line} column {column}: {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, place)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
