//! The mixes of runs whose cost has an aim.
//!
//! **Invariant:** every run that is measured with checks on passes.

use crate::{mix, requests};
use std::ops::Range;
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::runner::{PlayOptions, play};

/// What runs are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// The default scenario.
    Default,
    /// The ecosystem study's.
    Study,
}

/// Every mix, by the number that stands for it.
pub const MIXES: [Mix; 2] = [Mix::Default, Mix::Study];

impl Mix {
    /// In a table.
    pub fn name(self) -> &'static str {
        match self {
            Mix::Default => "default mix (`overflow`)",
            Mix::Study => "study's mix, without guests",
        }
    }

    /// Runs a second and core that it is to reach, whole and with checks on.
    pub fn aim(self) -> f64 {
        match self {
            Mix::Default => 300.0,
            Mix::Study => 120.0,
        }
    }

    /// The plan of a number.
    pub fn plan(self, number: u64) -> Plan {
        match self {
            Mix::Default => requests::plan(number),
            Mix::Study => mix::plan(number),
        }
    }

    /// Plays plans with checks on, one after the other.
    pub fn play(self, numbers: Range<u64>) {
        let options = PlayOptions { keep_trace: false, checks: true };
        for number in numbers {
            crate::passed(&play(&self.plan(number), options).expect("one world at a time"));
        }
    }
}
