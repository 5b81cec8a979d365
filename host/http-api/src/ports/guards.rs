//! Guards of routes, checked before a version decides.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::RouteView;

/// What the guards of a version say of the messages that were recorded of its route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteGuardCheck {
    /// Messages that it decided about, with nothing delivered or counted.
    pub messages: u64,
    /// Answers that broke a guard, by its name.
    pub broken: BTreeMap<String, u64>,
    /// Why the recorded messages say nothing about this version.
    pub unchecked: Option<String>,
}

/// A route after a version was put in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteActivated {
    /// The route as it is now.
    #[serde(flatten)]
    pub route: RouteView,
    /// What its guards say of the messages that were recorded; absent where it has none, or where
    /// nothing was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard_check: Option<RouteGuardCheck>,
}
