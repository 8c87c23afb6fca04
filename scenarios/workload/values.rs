//! Strategies of the values that requests carry.
//!
//! **Invariant:** sizes lie where decisions turn (the ceilings, one byte below and above them); most are
//! small, so that runs are many.

use crate::recipe::{Alphabet, Recipe};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use stormglass_model::workload::session;

/// The ceiling of the workload's small fields, in bytes.
pub const CEILING_BYTES: u32 = session::CEILING_BYTES as u32;

/// What the values of one run are made of.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    /// How many contents there are: few make equal bodies likely.
    pub contents: u32,
    /// Whether values of 32 to 200 KiB are among them.
    pub has_large: bool,
}

/// Any value: mostly texts around their ceiling, and everything else that JSON has.
pub fn value(taste: Taste) -> impl Strategy<Value = Recipe> {
    let content = 0..taste.contents;
    let list = (0..40_u32, content.clone()).prop_map(|(items, content)| Recipe::List {
        items,
        json_bytes: 30,
        content,
    });
    let keys = (select(vec![20, 260]), content.clone())
        .prop_map(|(json_bytes, content)| Recipe::Keys { json_bytes, content });
    let object = (1..20_u32, content).prop_map(|(depth, content)| Recipe::Object {
        depth,
        json_bytes: 900,
        content,
    });
    prop_oneof![
        14 => text(taste),
        1 => Just(Recipe::Null),
        1 => any::<bool>().prop_map(Recipe::Bool),
        2 => odd_number(),
        2 => list,
        1 => object,
        1 => keys,
    ]
}

/// A text of any size.
pub fn text(taste: Taste) -> impl Strategy<Value = Recipe> {
    texts_of(small_size(), large_size(), taste)
}

/// A text that overflows the small fields.
pub fn overflowing(taste: Taste) -> impl Strategy<Value = Recipe> {
    let small = select(vec![CEILING_BYTES + 1, CEILING_BYTES + 1, 1_100, 2_000, 3_000]);
    texts_of(small, large_size(), taste)
}

fn texts_of(
    small: impl Strategy<Value = u32>,
    large: impl Strategy<Value = u32>,
    taste: Taste,
) -> impl Strategy<Value = Recipe> {
    let large_weight = if taste.has_large { 1 } else { 0 };
    let json_bytes = prop_oneof![7 => small, large_weight => large];
    let alphabet =
        select(vec![Alphabet::Plain, Alphabet::Plain, Alphabet::Escaped, Alphabet::Wide]);
    (json_bytes, 0..taste.contents, alphabet)
        .prop_map(|(json_bytes, content, alphabet)| Recipe::Text { json_bytes, content, alphabet })
}

fn small_size() -> impl Strategy<Value = u32> {
    let ceiling = CEILING_BYTES;
    select(vec![2, 20, 1_000, ceiling - 1, ceiling, ceiling + 1, ceiling + 1, 1_100, 2_000, 3_000])
}

/// Around 32 KiB, around the platform's default ceiling of 128 KiB, and 200 KiB.
fn large_size() -> impl Strategy<Value = u32> {
    select(vec![32_767, 32_768, 32_769, 131_071, 131_072, 131_073, 204_800])
}

/// Numbers at the edges of what is kept as digits, and doubles that are hard to write.
fn odd_number() -> impl Strategy<Value = Recipe> {
    let odd = [
        "0",
        "-1",
        "1.0",
        "-0.0",
        "0.1",
        "1e300",
        "5e-324",
        "-1.5e-7",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "100000000000000000000.0",
    ];
    select(odd.map(str::to_string).to_vec()).prop_map(Recipe::Json)
}

/// Whether a value is over the ceiling of the small fields.
pub fn is_over(value: &Recipe) -> bool {
    match value {
        Recipe::Text { json_bytes, .. } => *json_bytes > CEILING_BYTES,
        Recipe::List { items, json_bytes, .. } => items * json_bytes > CEILING_BYTES,
        Recipe::Keys { json_bytes, .. } => 4 * json_bytes > CEILING_BYTES,
        Recipe::Object { depth, json_bytes, .. } => json_bytes + depth * 20 > CEILING_BYTES,
        _ => false,
    }
}
