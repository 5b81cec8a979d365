//! Exchange types and the walk over exchanges.
