//! The policies of a virtual host.

use std::sync::Arc;

use shunt_types::{FieldTable, Value};

use super::{Policy, PolicyKind, merge};

/// Every policy of a virtual host. Cloning copies pointers only.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    user: Vec<Arc<Policy>>,
    operator: Vec<Arc<Policy>>,
}

/// The policies in force for one object.
#[derive(Clone, Copy, Debug, Default)]
pub struct InForce<'a> {
    /// The user policy.
    pub user: Option<&'a Policy>,
    /// The operator policy.
    pub operator: Option<&'a Policy>,
}

impl Policies {
    /// All of one kind: those of the highest priority first, then by name.
    pub fn all(&self, kind: PolicyKind) -> &[Arc<Policy>] {
        match kind {
            PolicyKind::User => &self.user,
            PolicyKind::Operator => &self.operator,
        }
    }

    /// The policy of that name.
    pub fn find(&self, kind: PolicyKind, name: &str) -> Option<&Arc<Policy>> {
        self.all(kind).iter().find(|policy| &*policy.definition.name == name)
    }

    /// What is in force for a classic queue.
    pub fn of_queue(&self, name: &str) -> InForce<'_> {
        self.in_force(|policy| policy.is_for_queue(name))
    }

    /// What is in force for an exchange.
    pub fn of_exchange(&self, name: &str) -> InForce<'_> {
        self.in_force(|policy| policy.is_for_exchange(name))
    }

    fn in_force(&self, matches: impl Fn(&Policy) -> bool) -> InForce<'_> {
        let user = self.user.iter().find(|policy| matches(policy)).map(Arc::as_ref);
        let operator = self.operator.iter().find(|policy| matches(policy)).map(Arc::as_ref);
        InForce { user, operator }
    }

    /// Puts a policy in the place of the one of its name; answers that one.
    pub(crate) fn put(&mut self, kind: PolicyKind, policy: Policy) -> Option<Arc<Policy>> {
        let before = self.remove(kind, &policy.definition.name);
        let policies = self.of_kind(kind);
        let order = |policy: &Policy| {
            let definition = &policy.definition;
            (std::cmp::Reverse(definition.priority), definition.name.clone())
        };
        let place = policies.partition_point(|other| order(other) < order(&policy));
        policies.insert(place, Arc::new(policy));
        before
    }

    /// Takes a policy out; answers it.
    pub(crate) fn remove(&mut self, kind: PolicyKind, name: &str) -> Option<Arc<Policy>> {
        let policies = self.of_kind(kind);
        let place = policies.iter().position(|policy| &*policy.definition.name == name)?;
        Some(policies.remove(place))
    }

    fn of_kind(&mut self, kind: PolicyKind) -> &mut Vec<Arc<Policy>> {
        match kind {
            PolicyKind::User => &mut self.user,
            PolicyKind::Operator => &mut self.operator,
        }
    }
}

impl InForce<'_> {
    /// What both policies say, merged.
    pub fn settings(&self) -> Arc<FieldTable> {
        let settings = |policy: &Policy| policy.definition.settings.clone();
        match (self.user.map(settings), self.operator.map(settings)) {
            (Some(user), Some(operator)) => merge::merged(user, &operator),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Arc::default(),
        }
    }

    /// What they say of one key that operator policies can't set.
    pub(crate) fn users(&self, key: &str) -> Option<&Value> {
        self.user?.definition.settings.get(key)
    }
}
