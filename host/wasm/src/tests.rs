//! Routes from deploy to decision, with guests written in WebAssembly text.

mod activation;
mod component;
mod deploy;
mod dry_run;
mod hostile;
mod rollouts;
mod world;
