//! The broker as its users meet it: a module for each subject, a process of its own for each
//! test.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected is found")]

mod alarms;
mod celery;
mod confirms;
mod conformance;
mod connections;
mod consuming;
mod crash;
mod data_folder;
mod delay_topology;
mod delayed;
mod direct_reply;
mod disk_errors;
mod disk_full;
mod errors;
mod events;
mod exchange_types;
mod exchanges;
mod garbage;
mod hostile;
mod http;
mod lifecycle;
mod limits;
mod log_commands;
mod logins;
mod metadata_log;
mod paging;
mod perf_command;
mod policies;
mod reclaim;
mod restart;
mod routes;
mod shards;
mod soak;
mod swap;
mod tables;
mod timeouts;
mod tracing;
