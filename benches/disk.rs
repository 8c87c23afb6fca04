//! What the simulated disk costs.
fn main() {}
