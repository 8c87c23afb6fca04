//! The platform's known bugs: planted one at a time, to see that the harness finds them.
//!
//! Beside them stand the controls of [`crate::planted`], which no list names.
//! Without the feature `defects` there is none: the platform is built as it is deployed.

use crate::planted;

/// Name, description and the invariants that find it, of every known bug.
pub fn known() -> Vec<(&'static str, &'static str, String)> {
    #[cfg(feature = "defects")]
    let all = stormglass_platform::defects::KNOWN
        .iter()
        .map(|defect| (defect.name, defect.description, defect.invariants.join(", ")))
        .collect();
    #[cfg(not(feature = "defects"))]
    let all = Vec::new();
    all
}

/// Plants the bug of this name, or takes away what was planted.
///
/// # Errors
/// There is no such bug in this build.
pub fn plant(name: Option<&str>) -> Result<(), String> {
    #[cfg(feature = "defects")]
    if let Some(control) = name.filter(|name| name.starts_with(planted::PREFIX)) {
        planted::plant(Some(planted::known(control)?));
        return Ok(());
    }
    planted::plant(None);
    #[cfg(feature = "defects")]
    let unknown = stormglass_platform::defects::set(name).err();
    #[cfg(not(feature = "defects"))]
    let unknown = name;
    match unknown {
        None => Ok(()),
        Some(name) => Err(format!("no defect `{name}`; `stormglass list` names those there are")),
    }
}
