//! The broker's binary: command line, configuration, start, stop and wiring.
fn main() {}
