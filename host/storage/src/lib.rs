//! The log: append, group commit, read back, recover, over a disk trait.
