//! A failing plan as a Rust test: no seed, no file, no generator.
//!
//! **Invariant:** the text is the same for the same plan and finding, and laid out as rustfmt leaves it.

use crate::plan::Plan;
use crate::verdict::{Finding, Signature};

/// The text of a test that plays `plan`: it fails as the plan does, and passes once the platform is mended.
/// `defect` is the known bug that was planted, without which it passes.
pub fn test_of(plan: &Plan, finding: &Finding, defect: Option<&str>) -> String {
    let Finding { invariant, statement, place, step_kind, .. } = finding;
    let signature = Signature {
        invariant: invariant.clone(),
        step_kind: step_kind.clone(),
        place: place.clone(),
    };
    let of_defect = defect.map_or(String::new(), |name| {
        format!("///\n/// It passes unless the known defect `{name}` is planted.\n")
    });
    let name = name_of(&signature);
    let json = plan.to_json();
    // As many as no sequence in the plan has.
    let fence = "#".repeat(1 + (0..).take_while(|n| json.contains(&fenced(*n))).count());
    format!(
        "/// {invariant} {statement}: {place}.\n{of_defect}#[test]\nfn {name}() {{\n    \
         use stormglass_scenarios::plan::Plan;\n    \
         use stormglass_scenarios::runner::{{PlayOptions, play}};\n    \
         let plan = r{fence}\"{json}\"{fence};\n    \
         let plan = Plan::from_json(plan).expect(\"a plan\");\n    \
         let options = PlayOptions {{ keep_trace: false, checks: true }};\n    \
         let played = play(&plan, options).expect(\"a world\");\n    \
         let verdict = played.outcome.verdict;\n    \
         assert_eq!(verdict.exit_code(), 0, \"{{}}\", verdict.in_words());\n    \
         assert!(played.moved.is_empty(), \"faults that never struck: {{:?}}\", played.moved);\n}}\n"
    )
}

/// The end of a raw text with so many marks.
fn fenced(count: usize) -> String {
    format!("\"{}", "#".repeat(count + 1))
}

/// The test's name: the promise, the kind of step, and what tells it from others of these.
fn name_of(signature: &Signature) -> String {
    let Signature { invariant, step_kind, .. } = signature;
    let words = format!("{invariant}_{step_kind}_{}", signature.short()).to_lowercase();
    words.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}
