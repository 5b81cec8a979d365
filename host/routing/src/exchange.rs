//! An exchange in a routing snapshot.

use std::sync::Arc;

use shunt_types::{ExchangeId, ExchangeName, QueueId};

use crate::exchange_type::Matcher;
use crate::failure::OnFailure;
use crate::retention::Retention;

/// An exchange as the walk sees it: immutable, replaced by a changed copy.
pub struct Exchange {
    /// Its id in the virtual host.
    pub id: ExchangeId,
    /// Its name; empty for the default exchange.
    pub name: ExchangeName,
    /// Whether publishers may not name it.
    pub internal: bool,
    /// Where messages go that match no binding here.
    pub alternate: Option<ExchangeName>,
    /// What happens when its route fails.
    pub on_failure: OnFailure,
    /// The queue in which messages wait that the exchange delays, out of every client's reach.
    pub waiting: Option<QueueId>,
    /// What it keeps for destinations that are bound later ([`Matcher::retention`]).
    pub retention: Option<Arc<dyn Retention>>,
    /// Its bindings; the default exchange has none of its own.
    pub matcher: Box<dyn Matcher>,
}

impl Exchange {
    /// A copy to change, sharing the bindings' structure.
    pub fn edited(&self) -> Self {
        Self {
            id: self.id,
            name: self.name.clone(),
            internal: self.internal,
            alternate: self.alternate.clone(),
            on_failure: self.on_failure,
            waiting: self.waiting,
            retention: self.retention.clone(),
            matcher: self.matcher.boxed_clone(),
        }
    }
}
