//! From the log back to the state, and from the state to a snapshot of the log.

use std::sync::Arc;

use shunt_types::{AmqpError, ExchangeName, VhostName};

use super::bindings::resolved;
use super::{BindingDefinition, Command, DestinationName, QueueDeclaration};
use crate::broker::Broker;
use crate::queue::QueueSettings;

impl Broker {
    /// Performs a command of the log again, without logging it. Call it before the shards run.
    ///
    /// # Errors
    /// Why the command has no effect; what it named can't be used, everything else can.
    pub fn restore(&self, command: Command) -> Result<(), AmqpError> {
        match command {
            Command::CreateVhost { vhost } => {
                self.insert_vhost(&vhost);
                Ok(())
            }
            Command::DeleteVhost { vhost } => {
                self.state().lock().vhosts.remove(&vhost);
                self.publish_vhosts();
                Ok(())
            }
            // What is there already stays: a snapshot may say the same as a record after it.
            Command::DeclareExchange { vhost, exchange }
                if self.exchange_definition(&vhost, &exchange.name).is_some() =>
            {
                Ok(())
            }
            Command::DeclareQueue { vhost, queue }
                if self.find_vhost(&vhost)?.topology().queues.get(&queue.name).is_some() =>
            {
                Ok(())
            }
            Command::DeclareExchange { vhost, exchange } => {
                let made = self.make_exchange(&vhost, &exchange);
                let (made, outcome) = match made {
                    Ok(made) => (made, Ok(())),
                    Err(error) => {
                        let reason = error.explanation.clone();
                        (Self::broken_exchange(&exchange, reason), Err(error))
                    }
                };
                self.state().lock().insert_exchange(&vhost, exchange, made)?;
                outcome
            }
            Command::DeleteExchange { vhost, exchange } => {
                let mut state = self.state().lock();
                let entry = state.vhost(&vhost)?;
                entry.edit(|entry, topology| entry.take_exchange(topology, &exchange));
                Ok(())
            }
            Command::DeclareQueue { vhost, queue } => {
                let settings = QueueSettings::from_arguments(&queue.arguments)
                    .map_err(AmqpError::precondition_failed)?;
                let mut state = self.state().lock();
                let found = state.vhost(&vhost)?.vhost.clone();
                let declaration = QueueDeclaration {
                    definition: queue,
                    exclusive_owner: None,
                    server_named: true,
                    near: None,
                };
                self.insert_queue(&mut state, &found, declaration, settings).map(|_| ())
            }
            Command::DeleteQueue { vhost, queue } => {
                let found = self.find_vhost(&vhost)?;
                let entry = found.topology().find_queue(queue.as_str())?.clone();
                self.forget_restored(&found, &entry);
                Ok(())
            }
            Command::Bind { vhost, binding } => {
                let topology = self.find_vhost(&vhost)?.topology();
                let resolved = Arc::new(resolved(&topology, None, &binding)?);
                let mut state = self.state().lock();
                state.vhost(&vhost)?.insert_binding(&binding.source, resolved).map(|_| ())
            }
            Command::Unbind { vhost, binding } => self.restore_unbind(&vhost, binding),
        }
    }

    fn restore_unbind(
        &self,
        vhost: &VhostName,
        binding: BindingDefinition,
    ) -> Result<(), AmqpError> {
        let topology = self.find_vhost(vhost)?.topology();
        let entry = super::state::BindingEntry(Arc::new(resolved(&topology, None, &binding)?));
        let mut state = self.state().lock();
        let found = state.vhost(vhost)?;
        if let Some(source) = found.exchanges.get(&binding.source).map(|exchange| exchange.id) {
            found.edit(|found, topology| found.take_binding(topology, source, &entry));
        }
        Ok(())
    }

    /// The commands that make what is declared and survives a restart, for a snapshot.
    pub fn snapshot(&self) -> Vec<Command> {
        let vhosts: Vec<VhostName> = self.state().lock().vhosts.keys().cloned().collect();
        let mut commands = Vec::new();
        for vhost in vhosts {
            commands.push(Command::CreateVhost { vhost: vhost.clone() });
            let predeclared =
                |name: &ExchangeName| super::PREDECLARED.iter().any(|(n, _)| *n == name.as_str());
            for exchange in self.exchanges(&vhost) {
                if !predeclared(&exchange.name) {
                    commands.push(Command::DeclareExchange { vhost: vhost.clone(), exchange });
                }
            }
            let Some(found) = self.vhost(vhost.as_str()) else { continue };
            let topology = found.topology();
            for queue in topology.queue_entries().filter(|queue| queue.definition.durable) {
                let queue = queue.definition.clone();
                commands.push(Command::DeclareQueue { vhost: vhost.clone(), queue });
            }
            for view in self.bindings(&vhost) {
                let kept = match &view.destination {
                    _ if view.source.is_default() => false,
                    DestinationName::Exchange(_) => true,
                    DestinationName::Queue(name) => {
                        topology.queues.get(name).is_some_and(|queue| queue.definition.durable)
                    }
                };
                if kept {
                    let binding = BindingDefinition {
                        source: view.source,
                        destination: view.destination,
                        key: view.key,
                        arguments: view.arguments,
                    };
                    commands.push(Command::Bind { vhost: vhost.clone(), binding });
                }
            }
        }
        commands
    }
}
