//! The guests are the examples of this package, each a module of its own.
#![cfg_attr(target_family = "wasm", no_std)]
