//! Whole shards without threads: inboxes run by hand, a clock that stands still, a log that only
//! remembers, sinks that record.

mod burials;
mod dead_letter;
mod declare;
mod delayed;
mod ends;
mod gauges;
mod harness;
mod letter_crashes;
mod lifetime;
mod policies;
mod publish;
mod recall;
mod remote;
mod reply;
mod restore;
