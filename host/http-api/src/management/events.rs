//! What this API tells the event exchange (RabbitMQ): changes of virtual hosts, users and
//! permissions, of which the broker knows nothing or not all.

use shunt_auth::AccessChange;
use shunt_types::{FieldTable, Value, VhostName};

use crate::server::Api;

/// Tells of a virtual host that was made, once it is described.
pub(super) fn tell_vhost_created(api: &Api, user: &str, name: &VhostName) {
    let Some(vhost) = api.broker.vhost(name.as_str()) else { return };
    api.broker.tell("vhost.created", user, |fields| {
        let metadata = vhost.metadata();
        fields.insert("name", name.as_str().into());
        fields.insert("description", metadata.description.as_str().into());
        fields.insert("tags", texts(&metadata.tags));
        fields.insert("tracing", vhost.topology().is_traced().into());
    });
}

/// Tells of a change of users or permissions by `actor`, before it is made.
pub(super) fn tell_access_change(api: &Api, actor: &str, change: &AccessChange) {
    let tell = |event: &str, texts: &[(&str, &str)]| {
        api.broker.tell(event, actor, |fields| insert_texts(fields, texts));
    };
    match change {
        AccessChange::PutUser { name, password, tags } => {
            let event = match (api.access.user(name), password) {
                (None, _) => "user.created",
                (Some(_), Some(_)) => "user.password.changed",
                (Some(_), None) => "user.password.cleared",
            };
            tell(event, &[("name", name)]);
            api.broker.tell("user.tags.set", actor, |fields| {
                fields.insert("name", name.as_str().into());
                fields.insert("tags", texts(tags));
            });
        }
        AccessChange::DeleteUser { name } => tell("user.deleted", &[("name", name)]),
        AccessChange::SetPermissions { user, vhost, configure, write, read } => tell(
            "permission.created",
            &[
                ("user", user),
                ("vhost", vhost),
                ("configure", configure),
                ("write", write),
                ("read", read),
            ],
        ),
        AccessChange::ClearPermissions { user, vhost } => {
            tell("permission.deleted", &[("user", user), ("vhost", vhost)]);
        }
        AccessChange::SetTopicPermission { user, vhost, exchange, write, read } => tell(
            "topic.permission.created",
            &[
                ("user", user),
                ("vhost", vhost),
                ("exchange", exchange),
                ("write", write),
                ("read", read),
            ],
        ),
        AccessChange::ClearTopicPermissions { user, vhost, exchange } => {
            let whose = [("user", user.as_str()), ("vhost", vhost)];
            let of = exchange.as_deref().map(|exchange| ("exchange", exchange));
            tell("topic.permission.deleted", &whose.into_iter().chain(of).collect::<Vec<_>>());
        }
        AccessChange::SetUserLimits { user, limits } => {
            let is_set = limits.iter().next().is_some();
            let event = if is_set { "user.limits.set" } else { "user.limits.cleared" };
            api.broker.tell(event, actor, |fields| {
                insert_texts(fields, &[("name", "limits"), ("username", user)]);
                for (name, value) in limits.iter() {
                    fields.insert(name, value.into());
                }
            });
        }
        // Its deletion is told by the broker.
        AccessChange::RemoveVhost { .. } => {}
    }
}

fn insert_texts(fields: &mut FieldTable, texts: &[(&str, &str)]) {
    for &(name, text) in texts {
        fields.insert(name, text.into());
    }
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|text| Value::from(text.as_str())).collect())
}
