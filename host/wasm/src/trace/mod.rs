//! Traces: the headers of an exchange's messages, kept in a bounded ring on disk, to ask another
//! version about them. Bodies are never recorded.

mod format;
mod reader;
mod recorder;

pub(crate) use recorder::{Recorder, Source, read, remove};

pub use reader::{TraceError, TraceReader, TracedExchange, TracedMessage};
pub use recorder::{TraceSettings, TraceStatus};
