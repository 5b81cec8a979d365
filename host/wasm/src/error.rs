//! Why a deployment, or a call about a deployed route, was refused.

use std::io;

use shunt_routing::Failure;

use crate::capability::Capability;
use crate::limits::LimitError;

/// What kind of answer an error is, for a front door with status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong (400).
    Invalid,
    /// There is no such thing (404).
    NotFound,
    /// It isn't possible as things stand (409).
    Conflict,
    /// The module is too large (413).
    TooLarge,
    /// The broker's own disk failed (500).
    Internal,
}

/// Why a module isn't deployed. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The name of the route can't be used.
    #[error("a route's name has 1 to 255 bytes, this one has {0}")]
    Name(usize),
    /// The module is over its limit.
    #[error("the module has {size} bytes, limit 'module_bytes' allows {maximum}")]
    TooLarge {
        /// Bytes of the module.
        size: u64,
        /// The limit.
        maximum: u64,
    },
    /// Compiled code instead of a module.
    #[error("the upload is precompiled code; deploy the .wasm or .wat that it was made from")]
    Precompiled,
    /// A component whose functions or types aren't those of the contract.
    #[error("the component doesn't fit the contract shunt:route@1.0.0: {0}")]
    Component(String),
    /// JavaScript that can't be read, or is no route.
    #[error("the JavaScript is refused: {0}")]
    Script(String),
    /// The bytes are no WebAssembly.
    #[error("the module can't be compiled: {0}")]
    Unreadable(String),
    /// Exports of the contract that aren't there.
    #[error("the module lacks the exports {}", quoted(.0))]
    MissingExports(Vec<String>),
    /// An export is there with another type.
    #[error("the export '{name}' is {found}, it must be {expected}")]
    WrongExport {
        /// The export.
        name: String,
        /// The type in the contract.
        expected: String,
        /// The type in the module.
        found: String,
    },
    /// Imports that are in no list.
    #[error("the module has the unknown imports {}", quoted(.0))]
    UnknownImports(Vec<String>),
    /// An import is used with another type.
    #[error("the import '{name}' is {found}, it must be {expected}")]
    WrongImport {
        /// The import, `module.name`.
        name: String,
        /// The type in the contract.
        expected: String,
        /// The type in the module.
        found: String,
    },
    /// An import needs a capability that the module doesn't declare.
    #[error("the import '{import}' needs the capability '{capability}', which isn't in 'wants'")]
    Undeclared {
        /// The import, `module.name`.
        import: String,
        /// What it needs.
        capability: Capability,
    },
    /// The module wants a capability that the deployment doesn't grant.
    #[error("the module wants the capability '{0}', which is not granted")]
    NotGranted(Capability),
    /// A capability that doesn't exist.
    #[error("unknown capability '{0}'")]
    UnknownCapability(String),
    /// Fields that don't exist.
    #[error("the module reads the unknown fields {}", quoted(.0))]
    UnknownFields(Vec<String>),
    /// The module is made for another contract.
    #[error("'shunt_abi' answers {0}, this version of shunt speaks contract 1")]
    Abi(i32),
    /// The module failed while it was started or asked.
    #[error("the module failed at deploy: {0}")]
    Failed(Failure),
    /// The description can't be used.
    #[error("the module's description is unusable: {0}")]
    Description(String),
    /// A limit can't be had.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The module or the registry couldn't be written.
    #[error("the route can't be stored: {0}")]
    Storage(#[from] io::Error),
}

impl DeployError {
    /// What kind of answer this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Storage(_) => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }
}

/// Why a call about a deployed route was refused.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// There is no such route.
    #[error("no route '{name}' in vhost '{vhost}'")]
    NoRoute {
        /// The virtual host.
        vhost: String,
        /// The route.
        name: String,
    },
    /// The route has no such version.
    #[error("route '{name}' has no version {version}")]
    NoVersion {
        /// The route.
        name: String,
        /// The version.
        version: u32,
    },
    /// A setting of a trace, a shadow or a canary is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is a candidate already, or this version is it.
    #[error(
        "version {version} of route '{name}' is the candidate of a shadow or a canary; end that \
         first"
    )]
    Candidate {
        /// The route.
        name: String,
        /// The candidate.
        version: u32,
    },
    /// There is no candidate.
    #[error("route '{name}' has neither a shadow nor a canary")]
    NoRollout {
        /// The route.
        name: String,
    },
    /// One trace at a time.
    #[error("a trace of route '{name}' is being recorded; stop it first")]
    Tracing {
        /// The route.
        name: String,
    },
    /// No other version was active before.
    #[error("route '{name}' has no version that was active before; activate one by its number")]
    NoPrevious {
        /// The route.
        name: String,
    },
    /// The active version can't be removed.
    #[error("version {version} of route '{name}' is active")]
    Active {
        /// The route.
        name: String,
        /// The version.
        version: u32,
    },
    /// The version can't run on this node.
    #[error("version {version} of route '{name}' is unavailable: {reason}")]
    Unavailable {
        /// The route.
        name: String,
        /// The version.
        version: u32,
        /// Why.
        reason: String,
    },
    /// The change couldn't be written.
    #[error("the change can't be stored: {0}")]
    Storage(#[from] io::Error),
}

impl RouteError {
    /// What kind of answer this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NoRoute { .. } | Self::NoVersion { .. } | Self::NoRollout { .. } => {
                ErrorKind::NotFound
            }
            Self::NoPrevious { .. }
            | Self::Active { .. }
            | Self::Candidate { .. }
            | Self::Tracing { .. }
            | Self::Unavailable { .. } => ErrorKind::Conflict,
            Self::Storage(_) => ErrorKind::Internal,
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}
