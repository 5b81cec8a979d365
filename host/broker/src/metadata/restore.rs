//! From the log back to the state, and from the state to a snapshot of the log.

use shunt_types::{AmqpError, ExchangeName, VhostName};

use super::bindings::resolved;
use super::bound::BindingEntry;
use super::state::VhostState;
use super::{BindingDefinition, Command, QueueDeclaration, VhostMetadata, predeclared};
use crate::broker::Broker;
use crate::policy::{Policy, PolicyKind};
use crate::queue::QueueSettings;

impl Broker {
    /// Performs a command of the log again, without logging it. Call it before the shards run.
    ///
    /// # Errors
    /// Why the command has no effect; what it named can't be used, everything else can.
    pub fn restore(&self, command: Command) -> Result<(), AmqpError> {
        match command {
            Command::CreateVhost { vhost } => {
                self.insert_vhost(&mut self.state().lock(), &vhost);
                Ok(())
            }
            Command::DeleteVhost { vhost } => {
                let mut state = self.state().lock();
                if let Some(removed) = state.vhosts.remove(&vhost) {
                    self.publish_vhosts(&state);
                    for queue in removed.vhost.topology().queue_entries() {
                        self.inbox(queue.id.shard()).retract(queue.id);
                        state.placement.give_back(queue.id);
                    }
                    state.retract_waiting(self, removed.waiting_queues());
                }
                Ok(())
            }
            Command::SetVhostMetadata { vhost, metadata } => {
                self.find_vhost(&vhost)?.set_metadata(metadata);
                Ok(())
            }
            // What is there already stays: a snapshot may say the same as a record after it.
            Command::DeclareExchange { vhost, exchange, .. }
                if self.exchange_definition(&vhost, &exchange.name).is_some() =>
            {
                Ok(())
            }
            Command::DeclareQueue { vhost, queue, .. }
                if self.find_vhost(&vhost)?.topology().queues.get(&queue.name).is_some() =>
            {
                Ok(())
            }
            Command::DeclareExchange { vhost, exchange, uid } => {
                let made = self.make_exchange(&vhost, &exchange);
                let (made, outcome) = match made {
                    Ok(made) => (made, Ok(())),
                    Err(error) => {
                        let reason = error.explanation.clone();
                        (Self::broken_exchange(&exchange, reason), Err(error))
                    }
                };
                self.insert_exchange(&mut self.state().lock(), &vhost, exchange, made, uid)?;
                outcome
            }
            Command::DeleteExchange { vhost, exchange } => {
                let mut state = self.state().lock();
                let entry = state.vhost(&vhost)?;
                let gone = entry.edit(|entry, topology| entry.take_exchange(topology, &exchange));
                state.retract_waiting(self, gone.waiting());
                Ok(())
            }
            Command::DeclareQueue { vhost, queue, uid } => {
                let settings = QueueSettings::from_arguments(&queue.arguments)
                    .map_err(|error| AmqpError::precondition_failed(error.to_string()))?;
                let mut state = self.state().lock();
                let found = state.vhost(&vhost)?.vhost.clone();
                let declaration = QueueDeclaration {
                    definition: queue,
                    exclusive_owner: None,
                    server_named: true,
                    near: None,
                };
                self.insert_queue(&mut state, &found, declaration, settings, Some(uid)).map(|_| ())
            }
            Command::DeleteQueue { vhost, queue } => {
                let found = self.find_vhost(&vhost)?;
                let entry = found.topology().find_queue(queue.as_str())?.clone();
                self.forget_restored(&found, &entry);
                Ok(())
            }
            Command::Bind { vhost, binding } => {
                let topology = self.find_vhost(&vhost)?.topology();
                let resolved = resolved(&topology, None, &binding)?;
                let mut state = self.state().lock();
                state.insert_binding(&vhost, &binding, resolved).map(|_| ())
            }
            Command::Unbind { vhost, binding } => self.restore_unbind(&vhost, binding),
            Command::SetPolicy { vhost, kind, policy } => {
                let policy = Policy::new(kind, policy).map_err(AmqpError::precondition_failed)?;
                self.put_policy(&mut self.state().lock(), &vhost, kind, policy).map(|_| ())
            }
            Command::ClearPolicy { vhost, kind, name } => {
                self.take_policy(&mut self.state().lock(), &vhost, kind, &name).map(|_| ())
            }
        }
    }

    fn restore_unbind(
        &self,
        vhost: &VhostName,
        binding: BindingDefinition,
    ) -> Result<(), AmqpError> {
        let topology = self.find_vhost(vhost)?.topology();
        let entry = BindingEntry::wanted(resolved(&topology, None, &binding)?);
        let mut state = self.state().lock();
        let found = state.vhost(vhost)?;
        if let Some(source) = found.exchanges.get(&binding.source).map(|exchange| exchange.id) {
            found.edit(|found, topology| found.take_binding(topology, source, &entry));
        }
        Ok(())
    }

    /// Hands `then` the commands that make what is declared and survives a restart. Nothing is
    /// declared or deleted until `then` is done, so that it can say where in the log that was.
    pub fn snapshot<R>(&self, then: impl FnOnce(Vec<Command>) -> R) -> R {
        let state = self.state().lock();
        let mut vhosts: Vec<_> = state.vhosts.iter().collect();
        vhosts.sort_by_key(|(name, _)| *name);
        let mut commands = Vec::new();
        for (name, entry) in vhosts {
            commands.push(Command::CreateVhost { vhost: name.clone() });
            let metadata = VhostMetadata::clone(&entry.vhost.metadata());
            if metadata != VhostMetadata::default() {
                commands.push(Command::SetVhostMetadata { vhost: name.clone(), metadata });
            }
            // Before what they are about, so that nothing is made twice.
            for kind in [PolicyKind::User, PolicyKind::Operator] {
                commands.extend(entry.vhost.topology().policies.all(kind).iter().map(|policy| {
                    let (vhost, policy) = (name.clone(), policy.definition().clone());
                    Command::SetPolicy { vhost, kind, policy }
                }));
            }
            entry.add_to_snapshot(name, &mut commands);
        }
        then(commands)
    }
}

impl VhostState {
    fn add_to_snapshot(&self, vhost: &VhostName, commands: &mut Vec<Command>) {
        let is_predeclared =
            |name: &ExchangeName| predeclared(vhost).any(|(known, _)| known == name.as_str());
        for (name, exchange) in &self.exchanges {
            if !is_predeclared(name) {
                let uid = exchange.waiting.and_then(|queue| queue.uid);
                let exchange = exchange.definition.clone();
                commands.push(Command::DeclareExchange { vhost: vhost.clone(), exchange, uid });
            }
        }
        let topology = self.vhost.topology();
        for entry in topology.queue_entries() {
            let Some(uid) = entry.uid else { continue };
            let queue = entry.definition.clone();
            commands.push(Command::DeclareQueue { vhost: vhost.clone(), queue, uid });
        }
        let kept = |entry: &BindingEntry| topology.keeps_bindings_to(&entry.to());
        let mut bindings: Vec<_> = self.bindings().filter(|(_, entry)| kept(entry)).collect();
        bindings.sort_by_key(|(_, entry)| entry.0.sequence);
        for (source, entry) in bindings {
            let binding = entry.definition(source);
            commands.push(Command::Bind { vhost: vhost.clone(), binding });
        }
    }
}
