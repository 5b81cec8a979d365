//! What is declared: commands, the state that they make, and the routing snapshot made of it.

mod actor;
mod bindings;
mod bound;
mod command;
mod equivalence;
mod exchanges;
mod placement;
mod policies;
mod queues;
mod restore;
mod state;
mod topology;
mod vhost_metadata;
mod waiting;

pub use actor::Actor;
pub use bindings::BindingView;
pub use command::{
    BindingDefinition, Command, DestinationName, ExchangeDefinition, QueueDefinition,
};
pub use exchanges::predeclared;
pub use queues::{Declared, QueueDeclaration};
pub use topology::{ConnectionId, QueueEntry, Topology};
pub use vhost_metadata::{VhostLimits, VhostMetadata};

pub(crate) use placement::Placement;
pub(crate) use state::{State, VhostState};
pub(crate) use waiting::{Gone, GoneExchange};
