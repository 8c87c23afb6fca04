//! The folder of the tenants' databases, `<tenant>.db` each.
//!
//! **Invariant:** one server has a folder at a time: it holds a lock on a file in it for as long as
//! it lives, which a kill releases too.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::ServerError;
use crate::seams::Databases;
use crate::tenant::is_valid_tenant;

/// Locked while a server uses the folder. Never deleted: two servers could then hold two files.
const LOCK: &str = "stormglass.lock";

/// A data folder that is this server's.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder, which must exist.
    ///
    /// # Errors
    /// It cannot be used, or another server uses it.
    pub fn take(path: &Path) -> Result<Self, ServerError> {
        let failed = || ServerError::path("data folder", path);
        // Absolute: a path is never taken for a URI, and no change of folder moves it.
        let absolute = fs::canonicalize(path).map_err(failed())?;
        if absolute.to_str().is_none() {
            return Err(failed()(std::io::Error::other("its path is not UTF-8")));
        }
        let lock = File::options().create(true).append(true).open(absolute.join(LOCK));
        let lock = lock.map_err(failed())?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: absolute, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ServerError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(why)) => Err(failed()(why)),
        }
    }
}

impl Databases for Folder {
    fn uri(&self, tenant: &str) -> String {
        let path = self.path.join(format!("{tenant}.db"));
        path.into_os_string()
            .into_string()
            .expect("the folder's path is UTF-8, a tenant's name ASCII")
    }

    fn tenants(&self) -> Result<Vec<String>, String> {
        let mut tenants = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|error| error.to_string())? {
            let name = entry.map_err(|error| error.to_string())?.file_name();
            let tenant = name.to_str().and_then(|name| name.strip_suffix(".db"));
            tenants.extend(tenant.filter(|tenant| is_valid_tenant(tenant)).map(str::to_owned));
        }
        tenants.sort();
        Ok(tenants)
    }
}
