//! The first half of an import: a file against the node, without changing anything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shunt_auth::{AccessChange, Permissions};
use shunt_broker::Actor;
use shunt_broker::metadata::{ExchangeDefinition, QueueDefinition};
use shunt_broker::queue::QueueSettings;
use shunt_routing::{ExchangeSpec, Matcher, OnFailure};
use shunt_types::{ExchangeName, FieldTable, NameError, QueueName, VhostName};

use super::Scope;
use super::apply::{Plan, declaration};
use super::file::{
    ExchangeItem, File, PermissionItem, QueueItem, TopicPermissionItem, UserItem, VhostItem,
};
use super::report::NotHonoured;
use crate::error::ApiError;
use crate::json::{self, JsonMap};
use crate::limits::{JSON_BODY_MAX, PROBLEMS_NAMED_MAX};
use crate::management::limits;
use crate::management::user_fields::ReadPassword;
use crate::server::Api;

/// A name in a virtual host.
pub(super) type Key = (VhostName, String);

/// The names of the queue type that there is.
const CLASSIC: [&str; 3] = ["classic", "default", "rabbit_classic_queue"];

/// Checks a file, item by item, and collects what is to be done.
pub(super) struct Checker<'a> {
    pub(super) api: &'a Api,
    scope: Scope,
    /// What is wrong with the file.
    pub(super) problems: Vec<String>,
    pub(super) plan: Plan,
    users: HashSet<String>,
    vhosts: HashSet<VhostName>,
    /// Exchanges that the import will make, to be asked about their bindings.
    pub(super) exchanges: HashMap<Key, Option<Box<dyn Matcher>>>,
    pub(super) queues: HashSet<Key>,
    /// What stands in the file and is left out: kind and name.
    pub(super) left_out: HashSet<(&'static str, Key)>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(api: &'a Api, scope: Scope, problems: Vec<String>) -> Self {
        Self {
            api,
            scope,
            problems,
            plan: Plan::default(),
            users: HashSet::new(),
            vhosts: HashSet::new(),
            exchanges: HashMap::new(),
            queues: HashSet::new(),
            left_out: HashSet::new(),
        }
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// 400 with what is wrong.
    pub(super) fn check(mut self, file: File) -> Result<Plan, ApiError> {
        for item in file.foreign {
            self.leave_out(item.kind, item.name, item.vhost, item.reason);
        }
        file.users.into_iter().for_each(|item| self.user(item));
        file.vhosts.into_iter().for_each(|item| self.vhost(item));
        file.permissions.into_iter().for_each(|item| self.permission(item));
        file.topic_permissions.into_iter().for_each(|item| self.topic_permission(item));
        file.policies.into_iter().for_each(|item| self.policy(item));
        file.parameters.into_iter().for_each(|item| self.parameter(item));
        file.exchanges.into_iter().for_each(|item| self.exchange(item));
        file.queues.into_iter().for_each(|item| self.queue(item));
        file.bindings.into_iter().for_each(|item| self.binding(item));
        if self.problems.is_empty() {
            return Ok(self.plan);
        }
        let count = self.problems.len();
        self.problems.truncate(PROBLEMS_NAMED_MAX);
        let more = match count - self.problems.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let problems = self.problems.join("; ");
        Err(ApiError::bad_request(format!("nothing was imported: {problems}{more}")))
    }

    pub(super) fn leave_out(
        &mut self,
        kind: &'static str,
        name: impl Into<String>,
        vhost: Option<String>,
        reason: impl Into<String>,
    ) {
        let (name, reason) = (name.into(), reason.into());
        self.plan.report.not_honoured.push(NotHonoured { kind, name, vhost, reason });
    }

    fn user(&mut self, item: UserItem) {
        let UserItem { name, fields, limits } = item;
        let user = match fields.read(&name) {
            Ok(user) => user,
            Err(reason) => return self.problems.push(format!("user '{name}': {reason}")),
        };
        if !self.users.insert(name.clone()) {
            return self.problems.push(format!("user '{name}' stands twice"));
        }
        match limits::user_limits(&limits) {
            Ok(limits) if limits == self.api.access.user_limits(&name) => {}
            Ok(limits) => {
                let user = name.clone();
                self.plan.user_limits.push(AccessChange::SetUserLimits { user, limits });
            }
            Err(reason) => self.leave_out("user_limits", &*name, None, reason),
        }
        let mut kept = None;
        if let ReadPassword::Foreign(algorithm) = &user.password {
            // Whoever imports must not lock out who can log in now.
            kept = self.api.access.user(&name).and_then(|user| user.password().cloned());
            let then = match kept {
                Some(_) => "keeps the password that it has here",
                None => "can't log in until its password is set",
            };
            let reason = format!("hashes of {algorithm} are not supported; the user {then}");
            self.leave_out("password", &*name, None, reason);
        }
        let password = user.password.into_hash().or(kept);
        self.plan.users.push(AccessChange::PutUser { name, password, tags: user.tags });
    }

    fn vhost(&mut self, item: VhostItem) {
        let name = match VhostName::new(&item.name) {
            Ok(name) => name,
            Err(error) => return self.problems.push(wrong_name("vhost", &item.name, &error)),
        };
        if !self.vhosts.insert(name.clone()) {
            return self.problems.push(format!("vhost '{name}' stands twice"));
        }
        if item.tracing {
            self.leave_out("vhost", name.as_str(), None, "tracing is not supported");
        }
        let fields = item.fields();
        if let Some(reason) = fields.foreign_queue_type() {
            let reason = format!("its default queue type stays classic: {reason}");
            self.leave_out("vhost", name.as_str(), None, reason);
        }
        match fields.read() {
            Ok(change) => self.plan.vhosts.push((name.clone(), Box::new(change))),
            Err(reason) => self.problems.push(format!("vhost '{name}': {reason}")),
        }
        if !item.limits.is_empty() {
            self.vhost_limits(name, &item.limits);
        }
    }

    /// Limits of a virtual host, which stand there or among the parameters.
    pub(super) fn vhost_limits(&mut self, vhost: VhostName, limits: &JsonMap) {
        match limits::vhost_limits(limits) {
            Ok(limits) => self.plan.vhost_limits.push((vhost, limits)),
            Err(reason) => self.leave_out("vhost_limits", vhost.as_str(), None, reason),
        }
    }

    fn topic_permission(&mut self, item: TopicPermissionItem) {
        let TopicPermissionItem { user, vhost, permission } = item;
        let exchange = &permission.exchange;
        let what = format!("topic permission of user '{user}' for exchange '{exchange}'");
        if !self.users.contains(&user) && self.api.access.user(&user).is_none() {
            self.problems.push(format!("{what}: there is no such user, nor in the file"));
        }
        let Some(vhost) = self.known_vhost(&what, Some(vhost)) else { return };
        if let Err(reason) = permission.check() {
            let name = format!("{user}/{exchange}");
            let reason = format!("{reason}; the user can use no routing key there");
            self.leave_out("topic_permission", name, Some(vhost.to_string()), reason);
        }
        let change = permission.into_change(user, vhost.to_string());
        self.plan.topic_permissions.push(change);
    }

    fn permission(&mut self, item: PermissionItem) {
        let PermissionItem { user, vhost, configure, write, read } = item;
        let what = format!("permissions of user '{user}' in vhost '{vhost}'");
        if !self.users.contains(&user) && self.api.access.user(&user).is_none() {
            self.problems.push(format!("{what}: there is no such user, nor in the file"));
        }
        let Some(vhost) = self.known_vhost(&what, Some(vhost)) else { return };
        let fields = [("configure", &configure), ("write", &write), ("read", &read)];
        for (field, pattern) in fields {
            if let Err(error) = Permissions::check_pattern(pattern) {
                let reason = format!("'{field}': {error}; the user has no access");
                return self.leave_out("permissions", user, Some(vhost.to_string()), reason);
            }
        }
        let vhost = vhost.to_string();
        let change = AccessChange::SetPermissions { user, vhost, configure, write, read };
        self.plan.permissions.push(change);
    }

    /// The virtual host of an item: the import's own, or the one that the item names.
    pub(super) fn known_vhost(&mut self, what: &str, named: Option<String>) -> Option<VhostName> {
        if let Scope::Vhost(vhost) = &self.scope {
            return Some(vhost.clone());
        }
        let Some(named) = named else {
            self.problems.push(format!("{what}: the field 'vhost' is missing"));
            return None;
        };
        let known = self.vhosts.get(named.as_str()).cloned();
        let known = known.or_else(|| Some(self.api.broker.vhost(&named)?.name().clone()));
        if known.is_none() {
            self.problems.push(format!("{what}: there is no vhost '{named}', nor in the file"));
        }
        known
    }

    /// The arguments of an item.
    pub(super) fn arguments(&mut self, what: &str, arguments: &JsonMap) -> Option<FieldTable> {
        // One item must fit a record of the log, which has room for far more than this.
        let size = |arguments: &JsonMap| serde_json::to_string(arguments).map_or(0, |t| t.len());
        if !arguments.is_empty() && size(arguments) as u64 > JSON_BODY_MAX {
            self.problems.push(format!("{what}: arguments are longer than {JSON_BODY_MAX} bytes"));
            return None;
        }
        let table = json::table_from_json(arguments, "arguments");
        table.map_err(|reason| self.problems.push(format!("{what}: {reason}"))).ok()
    }

    fn exchange(&mut self, item: ExchangeItem) {
        let what = format!("exchange '{}'", item.name);
        let Some(vhost) = self.known_vhost(&what, item.vhost) else { return };
        let what = format!("{what} in vhost '{vhost}'");
        let Some(arguments) = self.arguments(&what, &item.arguments) else { return };
        let name = match ExchangeName::new(&item.name) {
            Ok(name) => name,
            Err(error) => {
                return self.problems.push(wrong_name("exchange", &item.name, &error));
            }
        };
        let key = (vhost.clone(), item.name);
        if self.exchanges.contains_key(&key) || self.left_out.contains(&("exchange", key.clone())) {
            return self.problems.push(format!("{what} stands twice"));
        }
        let definition = ExchangeDefinition {
            name,
            kind: item.kind.into(),
            durable: item.durable,
            auto_delete: item.auto_delete,
            internal: item.internal,
            arguments: Arc::new(arguments),
        };
        match self.try_exchange(&vhost, &definition) {
            Ok(matcher) => {
                self.exchanges.insert(key, matcher);
                self.plan.exchanges.push((vhost, definition));
            }
            Err(reason) => self.leave_out_named("exchange", key, reason),
        }
    }

    /// What would become of the exchange; no matcher for one that is there already.
    fn try_exchange(
        &self,
        vhost: &VhostName,
        definition: &ExchangeDefinition,
    ) -> Result<Option<Box<dyn Matcher>>, String> {
        let ExchangeDefinition { name, kind, arguments, .. } = definition;
        let broker = &self.api.broker;
        if broker.exchange_definition(vhost, name).is_some() {
            // Declaring what is there only compares.
            let compared = broker.declare_exchange(vhost, Actor::NODE, definition.clone());
            return compared.map(|_| None).map_err(|error| stays(&error.explanation));
        }
        if name.as_str().is_empty() || name.as_str().starts_with("amq.") {
            return Err("names that begin with 'amq.' are reserved".to_owned());
        }
        if let Some(alternate) = arguments.get("alternate-exchange") {
            let named = alternate.as_text().and_then(|name| ExchangeName::new(name).ok());
            named.ok_or("invalid arg 'alternate-exchange': must be the name of an exchange")?;
        }
        if let Some(on_failure) = arguments.get("x-on-failure") {
            OnFailure::parse(on_failure.as_text().unwrap_or(on_failure.type_name()))?;
        }
        let (vhost, name, arguments) = (vhost.clone(), name.clone(), arguments.clone());
        broker.exchange_types().create(kind, &ExchangeSpec { vhost, name, arguments }).map(Some)
    }

    fn queue(&mut self, item: QueueItem) {
        let what = format!("queue '{}'", item.name);
        let Some(vhost) = self.known_vhost(&what, item.vhost) else { return };
        let what = format!("{what} in vhost '{vhost}'");
        let Some(arguments) = self.arguments(&what, &item.arguments) else { return };
        let name = match QueueName::new(&item.name) {
            Ok(name) if !item.name.is_empty() => name,
            Ok(_) => return self.problems.push("a queue without a name".to_owned()),
            Err(error) => return self.problems.push(wrong_name("queue", &item.name, &error)),
        };
        let key = (vhost.clone(), item.name);
        if self.queues.contains(&key) || self.left_out.contains(&("queue", key.clone())) {
            return self.problems.push(format!("{what} stands twice"));
        }
        let definition = QueueDefinition {
            name,
            durable: item.durable,
            auto_delete: item.auto_delete,
            arguments: Arc::new(arguments),
        };
        match self.try_queue(&vhost, item.kind.as_deref(), &definition) {
            Ok(()) => {
                self.queues.insert(key);
                self.plan.queues.push((vhost, definition));
            }
            Err(reason) => self.leave_out_named("queue", key, reason),
        }
    }

    fn try_queue(
        &self,
        vhost: &VhostName,
        kind: Option<&str>,
        definition: &QueueDefinition,
    ) -> Result<(), String> {
        let argument = definition.arguments.get("x-queue-type").and_then(|kind| kind.as_text());
        if let Some(other) = kind.or(argument).filter(|kind| !CLASSIC.contains(kind)) {
            return Err(format!("queues of type {other} are not supported"));
        }
        QueueSettings::from_arguments(&definition.arguments)
            .map_err(|invalid| invalid.to_string())?;
        let name = definition.name.as_str();
        let found = self.api.broker.vhost(vhost.as_str());
        if found.is_some_and(|found| found.topology().find_queue(name).is_ok()) {
            // Declaring what is there only compares.
            let declared =
                self.api.broker.declare_queue(vhost, Actor::NODE, declaration(definition.clone()));
            return declared.map(drop).map_err(|error| stays(&error.explanation));
        }
        if name.starts_with("amq.") {
            return Err("names that begin with 'amq.' are reserved".to_owned());
        }
        Ok(())
    }

    fn leave_out_named(&mut self, kind: &'static str, key: Key, reason: String) {
        self.leave_out(kind, &*key.1, Some(key.0.to_string()), reason);
        self.left_out.insert((kind, key));
    }
}

fn wrong_name(kind: &str, name: &str, error: &NameError) -> String {
    let start: String = name.chars().take(32).collect();
    format!("{kind} '{start}…': {error}")
}

fn stays(explanation: &str) -> String {
    format!("it stays as it is: {explanation}")
}
