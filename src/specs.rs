//! The entity types that a platform serves: their specs, read once and shared by every start.
//!
//! **Invariant:** entity types, and so entity sets, are named once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::spec::{self, Diagnostic, SpecError, TransitionTable};

/// A spec's text under the name that its errors show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecText {
    /// Shown in errors.
    pub file: String,
    /// IOA, TOML.
    pub text: String,
}

/// Why specs cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecsError {
    /// A spec that cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Two specs of one entity type.
    #[error("entity type `{0}` has two specs")]
    Two(String),
}

/// Specs that were read. Clones are the same specs.
#[derive(Debug, Clone, Default)]
pub struct Specs(Arc<Read>);

#[derive(Debug, Default)]
struct Read {
    tables: BTreeMap<String, TransitionTable>,
    warnings: Vec<Diagnostic>,
}

impl Specs {
    /// Reads specs; `lenient` takes unknown keys for warnings.
    ///
    /// # Errors
    /// The first spec that cannot be used, with its place; an entity type with two.
    pub fn read(texts: &[SpecText], lenient: bool) -> Result<Self, SpecsError> {
        let mut read = Read::default();
        for SpecText { file, text } in texts {
            let parsed = spec::parse(file, text, lenient)?;
            read.warnings.extend(parsed.warnings);
            let name = parsed.automaton.name.clone();
            let table = TransitionTable::new(parsed.automaton);
            if read.tables.insert(name.clone(), table).is_some() {
                return Err(SpecsError::Two(name));
            }
        }
        Ok(Self(Arc::new(read)))
    }

    /// What is odd in them, but no error.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.0.warnings
    }

    /// The spec of an entity type.
    pub(crate) fn table(&self, entity_type: &str) -> Option<&TransitionTable> {
        self.0.tables.get(entity_type)
    }

    /// Entity set and entity type of each.
    pub(crate) fn sets(&self) -> BTreeMap<String, String> {
        let set = |one: &TransitionTable| (one.entity_set(), one.entity_type().to_owned());
        self.0.tables.values().map(set).collect()
    }
}
