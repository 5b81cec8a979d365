//! Routes from deploy to decision, with guests written in WebAssembly text.

mod activation;
mod cache;
mod capabilities;
mod component;
mod deploy;
mod direct;
mod dry_run;
mod guards;
mod hostile;
mod javascript;
mod policy;
mod rollouts;
mod world;

pub(crate) use world::queue;
