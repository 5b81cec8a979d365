//! Class exchange.

use std::sync::Arc;

use shunt_amqp_codec::method::{
    ExchangeBind, ExchangeBindOk, ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete,
    ExchangeDeleteOk, ExchangeUnbind, ExchangeUnbindOk,
};
use shunt_broker::metadata::{BindingDefinition, DestinationName, ExchangeDefinition};
use shunt_types::{AmqpError, ExchangeName, TableRef};

use super::permissions::Access;
use super::{Connection, Refused};

impl Connection {
    pub(super) async fn exchange_declare(
        &mut self,
        number: u16,
        declare: &ExchangeDeclare<'_>,
    ) -> Result<(), Refused> {
        let name = exchange_name(declare.exchange)?;
        if name.is_default() {
            let text = "operation not permitted on the default exchange";
            return Err(AmqpError::access_refused(text).into());
        }
        if declare.passive {
            self.check_any("exchange", name.as_str())?;
            self.topology.find_exchange(name.as_str())?;
        } else {
            self.check_exchange(Access::Configure, name.as_str())?;
            let arguments = declare.arguments.to_owned();
            if let Some(alternate) = arguments.get("alternate-exchange").and_then(|v| v.as_text()) {
                self.check_exchange(Access::Read, name.as_str())?;
                self.check_exchange(Access::Write, alternate)?;
            }
            let definition = ExchangeDefinition {
                name,
                kind: declare.kind.into(),
                durable: declare.durable,
                auto_delete: declare.auto_delete,
                internal: declare.internal,
                arguments: Arc::new(arguments),
            };
            let vhost = self.vhost.name().clone();
            let position =
                self.context.broker.declare_exchange(&vhost, self.actor(), definition)?;
            self.durable(position).await?;
        }
        if !declare.no_wait {
            self.shared.send(number, ExchangeDeclareOk {});
        }
        Ok(())
    }

    pub(super) async fn exchange_delete(
        &mut self,
        number: u16,
        delete: &ExchangeDelete<'_>,
    ) -> Result<(), Refused> {
        let name = exchange_name(delete.exchange)?;
        self.check_exchange(Access::Configure, name.as_str())?;
        let vhost = self.vhost.name().clone();
        let actor = self.actor();
        let deleted = self.context.broker.delete_exchange(&vhost, actor, &name, delete.if_unused);
        self.durable(deleted?).await?;
        if !delete.no_wait {
            self.shared.send(number, ExchangeDeleteOk {});
        }
        Ok(())
    }

    pub(super) async fn exchange_bind(
        &mut self,
        number: u16,
        bind: &ExchangeBind<'_>,
    ) -> Result<(), Refused> {
        let binding =
            exchange_binding(bind.source, bind.destination, bind.routing_key, bind.arguments)?;
        self.bind(binding).await?;
        if !bind.no_wait {
            self.shared.send(number, ExchangeBindOk {});
        }
        Ok(())
    }

    pub(super) async fn exchange_unbind(
        &mut self,
        number: u16,
        unbind: &ExchangeUnbind<'_>,
    ) -> Result<(), Refused> {
        let ExchangeUnbind { source, destination, routing_key, arguments, .. } = *unbind;
        self.unbind(exchange_binding(source, destination, routing_key, arguments)?).await?;
        if !unbind.no_wait {
            self.shared.send(number, ExchangeUnbindOk {});
        }
        Ok(())
    }

    /// Binds, with write permission on the destination and read on the source.
    pub(super) async fn bind(&mut self, binding: BindingDefinition) -> Result<(), Refused> {
        self.check_binding(&binding)?;
        let vhost = self.vhost.name().clone();
        let position = self.context.broker.bind(&vhost, self.actor(), binding)?;
        Ok(self.durable(position).await?)
    }

    /// Unbinds, with the same permissions.
    pub(super) async fn unbind(&mut self, binding: BindingDefinition) -> Result<(), Refused> {
        self.check_binding(&binding)?;
        let vhost = self.vhost.name().clone();
        let position = self.context.broker.unbind(&vhost, self.actor(), binding)?;
        Ok(self.durable(position).await?)
    }

    fn check_binding(&mut self, binding: &BindingDefinition) -> Result<(), AmqpError> {
        match &binding.destination {
            DestinationName::Queue(name) => self.check_queue(Access::Write, name.as_str())?,
            DestinationName::Exchange(name) => self.check_exchange(Access::Write, name.as_str())?,
        }
        self.check_exchange(Access::Read, binding.source.as_str())?;
        self.check_binding_key(binding.source.as_str(), &binding.key)
    }
}

fn exchange_binding(
    source: &str,
    destination: &str,
    key: &str,
    arguments: TableRef<'_>,
) -> Result<BindingDefinition, AmqpError> {
    Ok(BindingDefinition {
        source: exchange_name(source)?,
        destination: DestinationName::Exchange(exchange_name(destination)?),
        key: key.into(),
        arguments: arguments.into(),
    })
}

/// An exchange's name off the wire; RabbitMQ strips line ends.
pub(super) fn exchange_name(name: &str) -> Result<ExchangeName, AmqpError> {
    ExchangeName::new(&name.replace(['\r', '\n'], ""))
        .map_err(|error| AmqpError::precondition_failed(error.to_string()))
}
