//! Routes: compile, cache, limit and call the WebAssembly modules that users deploy.
