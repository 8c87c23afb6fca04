//! Specs and modules from their folders, in order of name.

use std::fs;
use std::path::{Path, PathBuf};

use super::ServerError;
use crate::{Modules, SpecText, Specs};

/// Every `.toml` of a folder as a spec.
pub(super) fn specs(folder: &Path, lenient: bool) -> Result<Specs, ServerError> {
    let mut texts = Vec::new();
    for path in files(folder, "specs folder", "toml")? {
        let text = fs::read_to_string(&path).map_err(ServerError::path("spec", &path))?;
        texts.push(SpecText { file: path.display().to_string(), text });
    }
    if texts.is_empty() {
        return Err(ServerError::NoSpecs { path: folder.to_owned() });
    }
    let specs = Specs::read(&texts, lenient)?;
    for warning in specs.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(specs)
}

/// Every `.wasm` of a folder under its name without the ending.
pub(super) fn modules(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, ServerError> {
    let mut modules = Vec::new();
    for path in files(folder, "modules folder", "wasm")? {
        let bytes = fs::read(&path).map_err(ServerError::path("module", &path))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        modules.push((name.unwrap_or_default(), bytes));
    }
    Ok(modules)
}

/// Logs every integration whose module is not there or cannot be run: its triggers will fail.
pub(super) fn warn_of_missing(specs: &Specs, modules: &Modules) {
    for entity_type in specs.sets().values() {
        let integrations = specs.table(entity_type).map(|table| &table.automaton().integrations);
        for integration in integrations.into_iter().flatten() {
            let usable = modules.names().find(|(name, _)| *name == integration.module);
            if !matches!(usable, Some((_, None))) {
                let (name, module) = (&integration.name, &integration.module);
                tracing::warn!(entity_type, name, module, "integration has no module to run");
            }
        }
    }
}

fn files(folder: &Path, what: &'static str, ending: &str) -> Result<Vec<PathBuf>, ServerError> {
    let entries = fs::read_dir(folder).map_err(ServerError::path(what, folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(ServerError::path(what, folder))?.path();
        if path.extension().is_some_and(|extension| extension == ending) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
