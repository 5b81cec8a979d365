//! A live instance of either encoding, and the calls of the contract into it.

use std::sync::Arc;

use shunt_routing::{Binding, ExchangeSpec, Failure, FailureCause, Header};
use shunt_types::QueueGauge;

use crate::answer::Pick;
use crate::capability::Capabilities;
use crate::component::ComponentInstance;
use crate::core_instance::CoreInstance;
use crate::describe::Description;
use crate::engine::Ticker;
use crate::error::DeployError;
use crate::fields::Field;
use crate::limits::RouteLimits;
use crate::log::LogGate;
use crate::module::Prepared;
use crate::state::StateMap;

/// What an instance may use.
pub(crate) struct Terms {
    pub(crate) limits: RouteLimits,
    pub(crate) granted: Capabilities,
    pub(crate) log: Arc<LogGate>,
}

/// A module's instance with its memory. After a failure for which [`Instance::is_unfit`] holds it
/// must be thrown away.
#[expect(clippy::large_enum_variant, reason = "there are few, and a box would cost each call")]
pub(crate) enum Instance {
    Core(CoreInstance),
    Component(ComponentInstance),
}

/// Hands a call to the instance of whichever encoding.
macro_rules! each {
    ($instance:expr, $live:ident => $call:expr) => {
        match $instance {
            Instance::Core($live) => $call,
            Instance::Component($live) => $call,
        }
    };
}

impl Instance {
    /// Makes an instance and starts it.
    pub(crate) fn new(
        prepared: &Prepared,
        terms: &Terms,
        ticker: Arc<Ticker>,
    ) -> Result<Self, Failure> {
        Ok(match prepared {
            Prepared::Core { pre, fuel, script } => {
                Self::Core(CoreInstance::new(pre, *fuel, script.as_deref(), terms, ticker)?)
            }
            Prepared::Component { pre, direct, fuel } => {
                let direct = direct.as_deref();
                Self::Component(ComponentInstance::new(pre, direct, *fuel, terms, ticker)?)
            }
        })
    }

    /// Whether the instance may not be called again after a failure of this cause.
    pub(crate) fn is_unfit(&self, cause: FailureCause) -> bool {
        match self {
            Self::Core(_) => {
                matches!(cause, FailureCause::Trap | FailureCause::Timeout | FailureCause::Memory)
            }
            Self::Component(live) => live.is_broken(),
        }
    }

    /// Asks the module what it is.
    pub(crate) fn describe(&mut self) -> Result<Description, DeployError> {
        each!(self, live => live.describe())
    }

    /// Tells the instance which exchange it is for.
    pub(crate) fn configure(&mut self, exchange: &ExchangeSpec) -> Result<(), Failure> {
        each!(self, live => live.configure(exchange))
    }

    /// Asks about a binding before it is stored.
    pub(crate) fn check_binding(&mut self, binding: &Binding) -> Result<(), Failure> {
        each!(self, live => live.check_binding(binding))
    }

    /// Tells the instance all bindings of its exchange.
    pub(crate) fn bindings(&mut self, bindings: &[Arc<Binding>]) -> Result<(), Failure> {
        each!(self, live => live.bindings(bindings))
    }

    /// Routes one message; each destination of the answer goes to `take`.
    #[inline]
    pub(crate) fn route(
        &mut self,
        fields: &[Field],
        header: &Header<'_>,
        take: impl FnMut(Pick<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        each!(self, live => live.route(fields, header, take))
    }

    /// Gives the instance the map of its exchange.
    pub(crate) fn share(&mut self, state: &Arc<StateMap>) {
        each!(self, live => live.guest_mut()).state = Arc::clone(state);
    }

    /// Shows the instance how full the queues are that the bindings lead to.
    pub(crate) fn watch(&mut self, loads: Vec<Option<Arc<QueueGauge>>>) {
        each!(self, live => live.guest_mut()).loads = loads;
    }

    /// Whether the last call wrote to the log.
    pub(crate) fn has_logged(&mut self) -> bool {
        each!(self, live => live.guest_mut()).has_logged
    }

    /// Bytes of linear memory that the instance has.
    pub(crate) fn memory_bytes(&mut self) -> usize {
        each!(self, live => live.guest_mut()).room.memory_used()
    }

    /// Fuel that the last call left.
    pub(crate) fn fuel_left(&self) -> u64 {
        each!(self, live => live.fuel_left())
    }
}
