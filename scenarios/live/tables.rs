//! The tables of a server that stands still, read on a copy of its files.
//!
//! **Invariant:** the files themselves are not opened: that would recover and rewrite them.

use super::LiveError;
use crate::rows;
use std::fs;
use std::path::Path;
use stormglass_model::tables::{TenantRows, same_rows};
use stormglass_sim::block_on;

/// The rows of every tenant that has a file in `data`, read by SQLite on a copy in `copy`, which is
/// removed again; SQLite's own check of each file first.
///
/// # Errors
/// Files that cannot be copied, or not be read.
pub fn look(data: &Path, copy: &Path) -> Result<Vec<Result<TenantRows, Damage>>, LiveError> {
    fs::create_dir_all(copy).map_err(LiveError::at(copy))?;
    let mut tenants = Vec::new();
    for entry in fs::read_dir(data).map_err(LiveError::at(data))? {
        let path = entry.map_err(LiveError::at(data))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The shared memory is made anew from the log: whoever held it is dead, or is not asked.
        if name.ends_with("-shm") {
            continue;
        }
        fs::copy(&path, copy.join(name)).map_err(LiveError::at(&path))?;
        tenants.extend(name.strip_suffix(".db").map(str::to_string));
    }
    tenants.sort();
    let looks = tenants.iter().map(|tenant| {
        let path = copy.join(format!("{tenant}.db"));
        let failed = |why| LiveError::Tables { tenant: tenant.clone(), why };
        // Two readers that share nothing: what they agree on is there. The one by format knows no rollback
        // journal, which a file has until it is first brought to a log.
        let by_format = rows::of_bytes(&path, tenant).ok();
        let read = block_on(rows::of_file(&path, tenant));
        let (rows, damage) = read.map_err(failed)?;
        let differs = by_format.is_some_and(|by_format| same_rows(&by_format, &rows).is_some());
        if damage.is_none() && differs {
            return Err(failed("two ways to read them differ".to_string()));
        }
        Ok(damage.map_or(Ok(rows), |said| Err(Damage { tenant: tenant.clone(), said })))
    });
    let looks = looks.collect::<Result<Vec<_>, LiveError>>()?;
    fs::remove_dir_all(copy).map_err(LiveError::at(copy))?;
    Ok(looks)
}

/// A file that SQLite says is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Whose file.
    pub tenant: String,
    /// SQLite's words.
    pub said: String,
}
