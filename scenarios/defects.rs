//! The platform's known bugs: planted one at a time, to see that the harness finds them.
//!
//! Without the feature `defects` there is none: the platform is built as it is deployed.

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
    let unknown = stormglass_platform::defects::set(name).err();
    #[cfg(not(feature = "defects"))]
    let unknown = name;
    match unknown {
        None => Ok(()),
        Some(name) => Err(format!("no defect `{name}`; `stormglass list` names those there are")),
    }
}
