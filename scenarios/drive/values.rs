//! Values for the params and fields of any spec.
//!
//! **Invariant:** a text's sizes lie around its own field's ceiling, a list's items are what guards look for,
//! a field that names a time or an id mostly holds one.

use crate::plan::{Who, entity_id};
use crate::recipe::{Alphabet, Recipe};
use crate::times::rfc3339;
use crate::workload::draw::Draw;
use crate::workload::values::{self, Taste};
use stormglass_model::automaton::{Automaton, Effect, Guard, VarKind};

/// The ceiling of fields without one of their own.
const DEFAULT_CEILING_BYTES: u64 = crate::check::DEFAULT_CEILING_BYTES;
/// Ceilings up to this are met in every run; larger ones in those that have large values.
pub const SMALL_BYTES: u64 = 8_192;
/// No value is larger.
const LARGEST_BYTES: u64 = 1_100_000;

/// What is known where a value is drawn.
pub struct Where<'a> {
    /// The type of the entity.
    pub automaton: &'a Automaton,
    /// What the run's values are made of.
    pub taste: Taste,
    /// The wall clock, in milliseconds of Unix time.
    pub now_ms: i64,
    /// Items of the entity's list that an index may name.
    pub len: usize,
    /// Entities of the run.
    pub entities: u32,
}

/// A value for the param or field of this name.
pub fn value(draw: &mut Draw, of: &Where<'_>, name: &str) -> Recipe {
    let effects = || of.automaton.actions.iter().flat_map(|action| &action.effects);
    let is_time = effects()
        .any(|effect| matches!(effect, Effect::ScheduleAt { field, .. } if *field == name));
    let is_id = effects()
        .any(|effect| matches!(effect, Effect::Spawn(spawn) if spawn.id_source == Some(name)));
    if name.ends_with("_index") {
        let most = of.len as u32 + 1;
        return Recipe::Number(i64::from(draw.below(most)));
    }
    if is_time && draw.percent(80) {
        let after_ms = draw.pick(&[-60_000, 0, 1_000, 30_000, 3_600_000]);
        return Recipe::Words(rfc3339(of.now_ms + after_ms, 0));
    }
    if is_id && draw.percent(80) {
        let entity = draw.below(of.entities + 3);
        return Recipe::Words(entity_id(Who { tenant: 0, entity, set: 0 }));
    }
    match of.automaton.variable(name) {
        Some(variable) if matches!(variable.kind, VarKind::List | VarKind::Set) => {
            item(draw, of, (name, variable.ceiling_bytes))
        }
        Some(variable) if variable.kind == VarKind::Text => {
            let ceiling = variable.ceiling_bytes.unwrap_or(DEFAULT_CEILING_BYTES);
            text(draw, of.taste, ceiling)
        }
        _ => draw.of(&values::value(Taste { has_large: false, ..of.taste })),
    }
}

/// Mostly a text at the ceiling, a byte below or above it, or far above.
fn text(draw: &mut Draw, taste: Taste, ceiling: u64) -> Recipe {
    let is_near = ceiling <= SMALL_BYTES || (taste.has_large && ceiling + 2 <= LARGEST_BYTES);
    if !is_near || draw.percent(30) {
        return draw.of(&values::value(Taste { has_large: false, ..taste }));
    }
    let at =
        |off: i64| u32::try_from(ceiling.saturating_add_signed(off)).unwrap_or(u32::MAX).max(2);
    let json_bytes = draw.pick(&[at(-1), at(0), at(1), at(1), at(2), at(0).min(500_000) * 2 + 2]);
    let json_bytes = json_bytes.min(LARGEST_BYTES as u32);
    let alphabet = draw.pick(&[Alphabet::Plain, Alphabet::Escaped, Alphabet::Wide]);
    Recipe::Text { json_bytes, content: draw.below(taste.contents), alphabet }
}

/// What guards look for in the list, a small thing, or one that fills the list up to its ceiling.
fn item(draw: &mut Draw, of: &Where<'_>, (name, ceiling): (&str, Option<u64>)) -> Recipe {
    let guards = of.automaton.actions.iter().flat_map(|action| &action.guards);
    let literals: Vec<&'static str> = guards
        .filter_map(|guard| match guard {
            Guard::ListContains(list, literal) if *list == name => Some(*literal),
            _ => None,
        })
        .collect();
    if !literals.is_empty() && draw.percent(50) {
        let literal = draw.pick(&literals);
        // A literal may stand for a value that is no string.
        let is_json = serde_json::from_str::<serde_json::Value>(literal).is_ok();
        return match is_json && draw.percent(50) {
            true => Recipe::Json(literal.to_string()),
            false => Recipe::Words(literal.to_string()),
        };
    }
    if let Some(ceiling) = ceiling.filter(|bytes| *bytes <= SMALL_BYTES)
        && draw.percent(40)
    {
        // An only item of a list takes two bytes more for its brackets.
        let off = draw.pick(&[0, 1, 2, 3]);
        let json_bytes = (ceiling as u32).saturating_sub(off).max(2);
        let content = draw.below(of.taste.contents);
        return Recipe::Text { json_bytes, content, alphabet: Alphabet::Plain };
    }
    let number = i64::from(draw.below(4));
    draw.pick(&[Recipe::Number(number), Recipe::Words("late".into()), Recipe::Bool(true)])
}
