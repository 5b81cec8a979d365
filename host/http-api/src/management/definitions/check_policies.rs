//! Policies of a file, and what stands among its parameters.

use shunt_broker::policy::PolicyKind;

use super::check::Checker;
use super::file::{ParameterItem, PolicyItem};
use crate::management::policies::PolicyRequest;

/// The component of operator policies among parameters.
pub(super) const OPERATOR_POLICY: &str = "operator_policy";
/// The component of limits of a virtual host, and the name of its one parameter.
pub(super) const VHOST_LIMITS: &str = "vhost-limits";
pub(super) const LIMITS: &str = "limits";

impl Checker<'_> {
    pub(super) fn policy(&mut self, item: PolicyItem) {
        self.any_policy(PolicyKind::User, item);
    }

    pub(super) fn parameter(&mut self, item: ParameterItem) {
        let ParameterItem { component, name, vhost, value } = item;
        if component == VHOST_LIMITS {
            let Some(vhost) = self.known_vhost("limits of a virtual host", vhost) else { return };
            return match value.as_object() {
                Some(limits) => self.vhost_limits(vhost, limits),
                // RabbitMQ writes no limits as an empty list.
                None if value.as_array().is_some_and(Vec::is_empty) => {}
                None => self.problems.push(format!("limits of vhost '{vhost}': not an object")),
            };
        }
        if component != OPERATOR_POLICY {
            let reason = "runtime parameters of this component are not supported";
            return self.leave_out("parameter", format!("{component}/{name}"), vhost, reason);
        }
        match serde_json::from_value::<PolicyRequest>(value) {
            Ok(policy) => self.any_policy(PolicyKind::Operator, PolicyItem { name, vhost, policy }),
            Err(error) => self.problems.push(format!("operator policy '{name}': {error}")),
        }
    }

    /// A policy that can't be used here may be right there, such as one with look-around in its
    /// pattern, or with keys of a plugin: it is left out.
    fn any_policy(&mut self, kind: PolicyKind, item: PolicyItem) {
        let PolicyItem { name, vhost, policy } = item;
        let reported = match kind {
            PolicyKind::User => "policy",
            PolicyKind::Operator => "operator_policy",
        };
        let Some(vhost) = self.known_vhost(&format!("{reported} '{name}'"), vhost) else { return };
        match policy.checked(kind, &name) {
            Ok(policy) => {
                let without_effect: Vec<_> = policy.without_effect().collect();
                if !without_effect.is_empty() {
                    let reason = format!("without effect here: {}", without_effect.join(", "));
                    self.leave_out(reported, &*name, Some(vhost.to_string()), reason);
                }
                self.plan.policies.push((vhost, kind, policy));
            }
            Err(reason) => self.leave_out(reported, name, Some(vhost.to_string()), reason),
        }
    }
}
