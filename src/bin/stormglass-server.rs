//! The platform as a server.
fn main() {}
