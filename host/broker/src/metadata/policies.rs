//! Policies: set, clear, and what that changes of what is there.

use std::sync::Arc;

use shunt_types::{AmqpError, FieldTable, QueueId, QueueName, ShardId, VhostName};

use super::exchanges::effective_alternate;
use super::state::State;
use super::{Actor, Command, QueueEntry, Topology};
use crate::broker::Broker;
use crate::policy::{Policies, Policy, PolicyKind};
use crate::ports::Position;
use crate::queue::QueueSettings;
use crate::shard::Task;

/// Queues that other policies hold for than before, each with what these say now.
pub(crate) type Governed = Vec<(QueueName, Arc<FieldTable>)>;

impl Broker {
    /// Sets a policy, in the place of one of its name, for what is there and for what will be.
    /// Exchanges go by it when this returns, queues when their shards have run what is posted to
    /// them. Answers whether it is new, and up to where the metadata log must be on disk.
    ///
    /// # Errors
    /// `NOT_ALLOWED` (530) where there is no such virtual host.
    pub fn set_policy(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        kind: PolicyKind,
        policy: Policy,
    ) -> Result<(bool, Position), AmqpError> {
        let definition = policy.definition().clone();
        let mut state = self.state().lock();
        let (created, changed) = self.put_policy(&mut state, vhost, kind, policy)?;
        self.tell_queue_policies(actor, vhost.as_str(), &changed);
        self.tell_policy_set(actor, vhost.as_str(), kind, &definition);
        let vhost = vhost.clone();
        Ok((created, self.log(&Command::SetPolicy { vhost, kind, policy: definition })))
    }

    /// Takes a policy away; `None` where there is none of that name.
    ///
    /// # Errors
    /// `NOT_ALLOWED` (530) where there is no such virtual host.
    pub fn clear_policy(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        kind: PolicyKind,
        name: &str,
    ) -> Result<Option<Position>, AmqpError> {
        let mut state = self.state().lock();
        let Some(changed) = self.take_policy(&mut state, vhost, kind, name)? else {
            return Ok(None);
        };
        self.tell_queue_policies(actor, vhost.as_str(), &changed);
        self.tell_policy_cleared(actor, vhost.as_str(), kind, name);
        let (vhost, name) = (vhost.clone(), name.into());
        Ok(Some(self.log(&Command::ClearPolicy { vhost, kind, name })))
    }

    /// As [`Broker::set_policy`], without logging it; whether it is new, and for which queues
    /// which policies hold now that didn't before.
    pub(crate) fn put_policy(
        &self,
        state: &mut State,
        vhost: &VhostName,
        kind: PolicyKind,
        policy: Policy,
    ) -> Result<(bool, Governed), AmqpError> {
        let before = state.vhost(vhost)?.vhost.topology();
        let mut policies = Policies::clone(&before.policies);
        let name = policy.definition().name.clone();
        let replaced = policies.put(kind, policy);
        let set = policies.find(kind, &name).cloned();
        let created = replaced.is_none();
        Ok((created, self.apply_policies(state, &before, policies, [replaced, set])?))
    }

    /// As [`Broker::clear_policy`], without logging it. Where there was one, for which queues
    /// which policies hold now that didn't before.
    pub(crate) fn take_policy(
        &self,
        state: &mut State,
        vhost: &VhostName,
        kind: PolicyKind,
        name: &str,
    ) -> Result<Option<Governed>, AmqpError> {
        let before = state.vhost(vhost)?.vhost.topology();
        let mut policies = Policies::clone(&before.policies);
        let Some(removed) = policies.remove(kind, name) else { return Ok(None) };
        self.apply_policies(state, &before, policies, [Some(removed), None]).map(Some)
    }

    /// One pass over the names of the virtual host. `changed` are the policies that were and are;
    /// only what one of them names can have changed.
    fn apply_policies(
        &self,
        state: &mut State,
        before: &Topology,
        policies: Policies,
        changed: [Option<Arc<Policy>>; 2],
    ) -> Result<Governed, AmqpError> {
        let is_named = |name: &str| changed.iter().flatten().any(|policy| policy.names(name));
        let entry = state.vhost(&before.vhost)?;
        entry.edit(|entry, topology| {
            for (name, exchange) in &entry.exchanges {
                if !is_named(name.as_str()) {
                    continue;
                }
                let alternate = effective_alternate(&exchange.definition, &policies);
                let Some(shown) = topology.exchanges_by_id.get(&exchange.id) else { continue };
                if shown.alternate != alternate {
                    let mut edited = shown.edited();
                    edited.alternate = alternate;
                    topology.put_exchange(Arc::new(edited));
                }
            }
            topology.policies = Arc::new(policies.clone());
        });
        let mut governed = Vec::new();
        let mut batches = vec![Vec::new(); usize::from(self.shard_count())];
        for queue in before.queue_entries() {
            let name = queue.definition.name.as_str();
            if !is_named(name) {
                continue;
            }
            let old = before.policies.of_queue(name).settings();
            let new = policies.of_queue(name).settings();
            if old.is_equivalent(&new) {
                continue;
            }
            if let Some(settings) = settings(queue, &new) {
                batches[usize::from(queue.id.shard().0)].push((queue.id, settings));
            }
            governed.push((queue.definition.name.clone(), new));
        }
        // Under the lock, so that shards hear of changes in their order.
        for (shard, batch) in (0..).zip(batches) {
            self.reconfigure(ShardId(shard), batch);
        }
        Ok(governed)
    }

    fn reconfigure(&self, shard: ShardId, batch: Vec<(QueueId, QueueSettings)>) {
        if batch.is_empty() {
            return;
        }
        self.inbox(shard).post(Task::Call(Box::new(move |shard| {
            for (queue, settings) in batch {
                shard.reconfigure(queue, settings);
            }
        })));
    }
}

/// How a queue behaves under a policy; its arguments were checked when it was declared.
fn settings(queue: &QueueEntry, policy: &FieldTable) -> Option<QueueSettings> {
    let arguments = &queue.definition.arguments;
    let settings = QueueSettings::from_arguments(arguments).ok()?;
    Some(settings.under(arguments, policy))
}
