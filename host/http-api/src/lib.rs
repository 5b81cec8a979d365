//! Front door: the publish and consume API, the management API and metrics over HTTP.
