//! What a session has come to, as far as its steps went well.
//!
//! **Invariant:** it only makes steps likely to be legal; it judges nothing.

/// The sketch of one session.
#[derive(Clone, Copy, Debug)]
pub struct Sketch {
    /// Its state.
    pub status: &'static str,
    /// Its counter of turns.
    pub turns: u32,
    /// Events so far.
    pub version: u64,
}

impl Sketch {
    /// A session that was just created.
    pub const CREATED: Sketch = Sketch { status: "Created", turns: 0, version: 1 };

    /// The action was called; one that is not legal changes nothing.
    pub fn act(&mut self, action: &str) {
        let (status, turns) = match (self.status, action) {
            ("Created" | "Configured", "Configure") => ("Configured", self.turns),
            ("Configured", "Start") => ("Running", self.turns),
            ("Running", "Tick") => (self.status, self.turns + 1),
            ("Running", "Undo" | "Forget") => (self.status, self.turns.saturating_sub(1)),
            ("Running", "Pause") => ("Configured", self.turns),
            ("Running", "Finish") if self.turns > 0 => ("Done", self.turns),
            ("Done", "Reopen") => ("Running", self.turns),
            ("Done" | "Deleted", _) => (self.status, self.turns),
            (_, "Fail") => ("Failed", self.turns),
            (status, _) => (status, self.turns),
        };
        (self.status, self.turns) = (status, turns);
    }
}
