//! The snapshot of users and permissions, its changes, and the questions asked of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::sasl::{self, AMQPLAIN, ANONYMOUS, AnonymousLogin, Credentials, PLAIN};
use crate::{
    ADMINISTRATOR, AuthError, LoginRefusal, PasswordHash, Permissions, TopicPermission,
    TopicPermissionEntry, TopicPermissions, User, UserLimits,
};

/// A change to users or permissions. The list is closed and each change stands for itself, so
/// that the node's log of them, applied in order, gives the same users and permissions again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessChange {
    /// Makes the user, or replaces the one of that name; permissions stay.
    PutUser {
        /// The name.
        name: String,
        /// None: can't log in by password.
        password: Option<PasswordHash>,
        /// Tags such as `administrator`.
        tags: Vec<String>,
    },
    /// Takes the user away, with all permissions.
    DeleteUser {
        /// The name.
        name: String,
    },
    /// Sets what the user may do in the virtual host; without this, not even open it. A
    /// permission for a user who doesn't exist waits for that user.
    SetPermissions {
        /// The user's name.
        user: String,
        /// The virtual host.
        vhost: String,
        /// Pattern for declaring and deleting.
        configure: String,
        /// Pattern for publishing and binding to.
        write: String,
        /// Pattern for consuming and binding from.
        read: String,
    },
    /// Takes the user's access to the virtual host away.
    ClearPermissions {
        /// The user's name.
        user: String,
        /// The virtual host.
        vhost: String,
    },
    /// Sets which routing keys the user may use with a topic exchange; without this, all.
    SetTopicPermission {
        /// The user's name.
        user: String,
        /// The virtual host.
        vhost: String,
        /// The exchange.
        exchange: String,
        /// Pattern over routing keys for publishing.
        write: String,
        /// Pattern over binding keys for binding from.
        read: String,
    },
    /// Takes restrictions of routing keys away.
    ClearTopicPermissions {
        /// The user's name.
        user: String,
        /// The virtual host.
        vhost: String,
        /// The exchange; None: every one.
        exchange: Option<String>,
    },
    /// Sets all limits of the user.
    SetUserLimits {
        /// The user's name.
        user: String,
        /// Those that hold from now on.
        limits: UserLimits,
    },
    /// Takes everybody's access to a virtual host away, which was deleted.
    RemoveVhost {
        /// The virtual host.
        vhost: String,
    },
}

/// A line of [`AccessControl::list_permissions`].
#[derive(Clone, Debug)]
pub struct PermissionEntry {
    /// The user's name.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The patterns.
    pub permissions: Arc<Permissions>,
}

/// Users and permissions of the node, shared by its front doors.
#[derive(Debug)]
pub struct AccessControl {
    current: ArcSwap<Snapshot>,
    /// Raised after each swap, so that whoever sees the new number sees the new snapshot too.
    revision: AtomicU64,
    /// Names that may log in from this machine only.
    loopback_users: HashSet<String>,
    anonymous: Option<AnonymousLogin>,
    /// What a password is compared with where there is no user: the refusal must take as long.
    nobody: PasswordHash,
}

/// Never changed, only replaced.
#[derive(Clone, Debug, Default)]
struct Snapshot {
    users: BTreeMap<String, Arc<User>>,
    /// By user, then by virtual host.
    permissions: BTreeMap<String, BTreeMap<String, Arc<Permissions>>>,
    /// By user, then by virtual host; none that is empty.
    topics: BTreeMap<String, BTreeMap<String, Arc<TopicPermissions>>>,
    /// By user.
    limits: BTreeMap<String, UserLimits>,
}

impl AccessControl {
    /// Without users. `loopback_users` may log in from this machine only.
    pub fn new(loopback_users: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            current: ArcSwap::default(),
            revision: AtomicU64::new(0),
            loopback_users: loopback_users.into_iter().map(Into::into).collect(),
            anonymous: None,
            nobody: PasswordHash::new(""),
        }
    }

    /// Lets clients in that give no name (SASL ANONYMOUS): as if they had given this one and its
    /// password.
    #[must_use]
    pub fn with_anonymous(mut self, login: AnonymousLogin) -> Self {
        self.anonymous = Some(login);
        self
    }

    /// The mechanisms offered in `connection.start`, in RabbitMQ's order.
    pub fn mechanisms(&self) -> Vec<&'static str> {
        let anonymous = self.anonymous.as_ref().map(|_| ANONYMOUS);
        [PLAIN, AMQPLAIN].into_iter().chain(anonymous).collect()
    }

    /// Checks a SASL response. `peer_is_loopback` says that the client is on this machine.
    pub fn authenticate(
        &self,
        mechanism: &str,
        response: &[u8],
        peer_is_loopback: bool,
    ) -> Result<Arc<User>, AuthError> {
        self.check(
            sasl::credentials(mechanism, response, self.anonymous.as_ref())?,
            peer_is_loopback,
        )
    }

    /// Checks a name and a password that came with an HTTP request.
    pub fn authenticate_password(
        &self,
        name: &str,
        password: &str,
        peer_is_loopback: bool,
    ) -> Result<Arc<User>, AuthError> {
        let (name, password) = (name.as_bytes().to_vec(), password.as_bytes().to_vec());
        self.check(Credentials { mechanism: "HTTP", name, password }, peer_is_loopback)
    }

    fn check(
        &self,
        credentials: Credentials,
        peer_is_loopback: bool,
    ) -> Result<Arc<User>, AuthError> {
        let Credentials { mechanism, name, password } = credentials;
        let name = String::from_utf8_lossy(&name).into_owned();
        let user = self.current.load().users.get(&name).cloned();
        let hash = user.as_ref().and_then(|user| user.password());
        // The hash is computed whether or not there is such a user, then both must hold.
        let verified = hash.unwrap_or(&self.nobody).verify(&password) & hash.is_some();
        let refusal = match user {
            _ if password.is_empty() => LoginRefusal::BlankPassword,
            // Said only to who knew the password: the name's existence stays untold.
            Some(_) if verified && !peer_is_loopback && self.loopback_users.contains(&name) => {
                LoginRefusal::LoopbackOnly
            }
            Some(user) if verified => return Ok(user),
            _ => LoginRefusal::InvalidCredentials,
        };
        Err(AuthError::Refused { mechanism, user: name, refusal })
    }

    /// What the user may do in the virtual host; None: may not open it. Keep it while
    /// [`AccessControl::revision`] stays.
    pub fn permissions(&self, user: &str, vhost: &str) -> Option<Arc<Permissions>> {
        self.current.load().permissions.get(user)?.get(vhost).cloned()
    }

    /// Which routing keys the user may use in the virtual host; None: all, with every exchange.
    /// Keep it while [`AccessControl::revision`] stays.
    pub fn topic_permissions(&self, user: &str, vhost: &str) -> Option<Arc<TopicPermissions>> {
        self.current.load().topics.get(user)?.get(vhost).cloned()
    }

    /// All topic permissions, by user, virtual host and exchange.
    pub fn list_topic_permissions(&self) -> Vec<TopicPermissionEntry> {
        let current = self.current.load();
        let mut entries = Vec::new();
        for (user, vhosts) in &current.topics {
            for (vhost, permissions) in vhosts {
                entries.extend(permissions.0.iter().map(|(exchange, permission)| {
                    let (user, vhost) = (user.clone(), vhost.clone());
                    let (exchange, permission) = (exchange.clone(), permission.clone());
                    TopicPermissionEntry { user, vhost, exchange, permission }
                }));
            }
        }
        entries
    }

    /// The user's limits.
    pub fn user_limits(&self, user: &str) -> UserLimits {
        self.current.load().limits.get(user).copied().unwrap_or_default()
    }

    /// The user of that name.
    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        self.current.load().users.get(name).cloned()
    }

    /// A number that another one follows whenever anything has changed. Read it before what is
    /// to be kept, not after.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// All users, by name.
    pub fn list_users(&self) -> Vec<Arc<User>> {
        self.current.load().users.values().cloned().collect()
    }

    /// All permissions, by user and virtual host.
    pub fn list_permissions(&self) -> Vec<PermissionEntry> {
        let current = self.current.load();
        let entries = current.permissions.iter().flat_map(|(user, vhosts)| {
            vhosts.iter().map(|(vhost, permissions)| PermissionEntry {
                user: user.clone(),
                vhost: vhost.clone(),
                permissions: permissions.clone(),
            })
        });
        entries.collect()
    }

    /// The changes that, applied in order to an empty [`AccessControl`], give this one's users
    /// and permissions: what a snapshot of the node's log holds.
    pub fn snapshot(&self) -> Vec<AccessChange> {
        let users = self.list_users().into_iter().map(|user| AccessChange::PutUser {
            name: user.name().to_owned(),
            password: user.password().cloned(),
            tags: user.tags().to_vec(),
        });
        let permissions = self.list_permissions().into_iter().map(|entry| {
            let PermissionEntry { user, vhost, permissions } = entry;
            let (configure, write, read) =
                (permissions.configure(), permissions.write(), permissions.read());
            AccessChange::SetPermissions {
                user,
                vhost,
                configure: configure.to_owned(),
                write: write.to_owned(),
                read: read.to_owned(),
            }
        });
        let topics = self.list_topic_permissions().into_iter().map(|entry| {
            let TopicPermissionEntry { user, vhost, exchange, permission } = entry;
            let (write, read) = (permission.write().to_owned(), permission.read().to_owned());
            AccessChange::SetTopicPermission { user, vhost, exchange, write, read }
        });
        let current = self.current.load();
        let limits = current.limits.iter().map(|(user, limits)| AccessChange::SetUserLimits {
            user: user.clone(),
            limits: *limits,
        });
        users.chain(permissions).chain(topics).chain(limits).collect()
    }

    /// Applies a change. Nothing can be wrong with one: what is to be refused (an unknown user,
    /// a pattern that doesn't compile) is refused before the change is written to the log.
    pub fn apply(&self, change: &AccessChange) {
        self.current.rcu(|current| {
            let mut next = Snapshot::clone(current);
            next.apply(change);
            next
        });
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Makes the first user of a new node: an administrator with all permissions on `/`. Answers
    /// the changes that it applied, for the log: a later start must find the same salt.
    pub fn seed_default_user(&self, name: &str, password: &str) -> Vec<AccessChange> {
        let all = || ".*".to_owned();
        let changes = vec![
            AccessChange::PutUser {
                name: name.to_owned(),
                password: Some(PasswordHash::new(password)),
                tags: vec![ADMINISTRATOR.to_owned()],
            },
            AccessChange::SetPermissions {
                user: name.to_owned(),
                vhost: "/".to_owned(),
                configure: all(),
                write: all(),
                read: all(),
            },
        ];
        changes.iter().for_each(|change| self.apply(change));
        changes
    }
}

impl Snapshot {
    fn apply(&mut self, change: &AccessChange) {
        match change {
            AccessChange::PutUser { name, password, tags } => {
                let user = User::new(name, password.clone(), tags);
                self.users.insert(name.clone(), Arc::new(user));
            }
            AccessChange::DeleteUser { name } => {
                self.users.remove(name);
                self.permissions.remove(name);
                self.topics.remove(name);
                self.limits.remove(name);
            }
            AccessChange::SetPermissions { user, vhost, configure, write, read } => {
                let permissions = Arc::new(Permissions::new(configure, write, read));
                let vhosts = self.permissions.entry(user.clone()).or_default();
                vhosts.insert(vhost.clone(), permissions);
            }
            AccessChange::ClearPermissions { user, vhost } => {
                if let Some(vhosts) = self.permissions.get_mut(user) {
                    vhosts.remove(vhost);
                }
            }
            AccessChange::SetTopicPermission { user, vhost, exchange, write, read } => {
                let permission = Arc::new(TopicPermission::new(user, vhost, write, read));
                let vhosts = self.topics.entry(user.clone()).or_default();
                let permissions = Arc::make_mut(vhosts.entry(vhost.clone()).or_default());
                permissions.0.insert(exchange.clone(), permission);
            }
            AccessChange::ClearTopicPermissions { user, vhost, exchange } => {
                let Some(vhosts) = self.topics.get_mut(user) else { return };
                let Some(permissions) = vhosts.get_mut(vhost) else { return };
                match exchange {
                    Some(exchange) => drop(Arc::make_mut(permissions).0.remove(exchange)),
                    None => Arc::make_mut(permissions).0.clear(),
                }
                if permissions.0.is_empty() {
                    vhosts.remove(vhost);
                }
            }
            AccessChange::SetUserLimits { user, limits } => {
                if *limits == UserLimits::default() {
                    self.limits.remove(user);
                } else {
                    self.limits.insert(user.clone(), *limits);
                }
            }
            AccessChange::RemoveVhost { vhost } => {
                for vhosts in self.permissions.values_mut() {
                    vhosts.remove(vhost);
                }
                for vhosts in self.topics.values_mut() {
                    vhosts.remove(vhost);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_user(name: &str, password: Option<&str>) -> AccessChange {
        let password = password.map(PasswordHash::new);
        AccessChange::PutUser { name: name.into(), password, tags: vec![] }
    }

    fn set_permissions(user: &str, vhost: &str, pattern: &str) -> AccessChange {
        let [configure, write, read] = [pattern; 3].map(str::to_owned);
        let (user, vhost) = (user.to_owned(), vhost.to_owned());
        AccessChange::SetPermissions { user, vhost, configure, write, read }
    }

    #[track_caller]
    fn check_refused(access: &AccessControl, name: &str, password: &str, expected: LoginRefusal) {
        match access.authenticate_password(name, password, false) {
            Err(AuthError::Refused { user, refusal, .. }) => {
                assert_eq!((user.as_str(), refusal), (name, expected));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_gives_another_password_is_refused() {
        let access = AccessControl::new(["guest"]);
        access.seed_default_user("guest", "guest");
        access.apply(&put_user("ann", Some("secret")));
        access.apply(&put_user("certificate-only", None));
        assert_eq!(access.authenticate_password("ann", "secret", false).unwrap().name(), "ann");
        check_refused(&access, "ann", "guest", LoginRefusal::InvalidCredentials);
        check_refused(&access, "bob", "secret", LoginRefusal::InvalidCredentials);
        check_refused(&access, "certificate-only", "x", LoginRefusal::InvalidCredentials);
        check_refused(&access, "ann", "", LoginRefusal::BlankPassword);
        check_refused(&access, "guest", "guest", LoginRefusal::LoopbackOnly);
        check_refused(&access, "guest", "wrong", LoginRefusal::InvalidCredentials);
        assert!(access.authenticate_password("guest", "guest", true).is_ok());
    }

    #[test]
    fn a_name_that_is_not_text_is_refused_and_does_not_panic() {
        let access = AccessControl::new(["guest"]);
        let error = access.authenticate("PLAIN", b"\0\xff\0x", true).unwrap_err();
        assert!(error.to_string().ends_with("- invalid credentials"));
    }

    #[test]
    fn permissions_end_with_the_user_and_the_vhost() {
        let access = AccessControl::new(["guest"]);
        access.apply(&put_user("ann", Some("x")));
        for vhost in ["/", "a", "b"] {
            access.apply(&set_permissions("ann", vhost, "^ann\\."));
        }
        let before = access.revision();
        let permissions = access.permissions("ann", "a").unwrap();
        assert!(permissions.may_read("ann.q") && !permissions.may_read("q"));
        assert!(access.permissions("bob", "a").is_none());
        access.apply(&AccessChange::RemoveVhost { vhost: "a".into() });
        assert!(access.revision() > before);
        assert!(access.permissions("ann", "a").is_none());
        access.apply(&AccessChange::ClearPermissions { user: "ann".into(), vhost: "b".into() });
        assert_eq!(access.list_permissions().len(), 1);
        access.apply(&AccessChange::DeleteUser { name: "ann".into() });
        assert!(access.list_permissions().is_empty() && access.list_users().is_empty());
    }

    fn set_topic(user: &str, vhost: &str, exchange: &str, pattern: &str) -> AccessChange {
        let [write, read] = [pattern; 2].map(str::to_owned);
        let [user, vhost, exchange] = [user, vhost, exchange].map(str::to_owned);
        AccessChange::SetTopicPermission { user, vhost, exchange, write, read }
    }

    #[test]
    fn topic_permissions_and_limits_end_with_the_user_and_the_vhost() {
        let access = AccessControl::new(["guest"]);
        access.apply(&put_user("ann", None));
        for (vhost, exchange) in [("/", "a"), ("/", "b"), ("v", "a")] {
            access.apply(&set_topic("ann", vhost, exchange, "x"));
        }
        let clear = |exchange: Option<&str>| AccessChange::ClearTopicPermissions {
            user: "ann".into(),
            vhost: "/".into(),
            exchange: exchange.map(str::to_owned),
        };
        assert!(access.topic_permissions("bob", "/").is_none());
        access.apply(&clear(Some("a")));
        assert!(access.topic_permissions("ann", "/").unwrap().of_exchange("a").is_none());
        assert_eq!(access.list_topic_permissions().len(), 2);
        access.apply(&clear(None));
        assert!(access.topic_permissions("ann", "/").is_none(), "costs nothing any more");
        access.apply(&AccessChange::RemoveVhost { vhost: "v".into() });
        assert!(access.list_topic_permissions().is_empty());
        let limits = UserLimits { max_connections: None, max_channels: Some(-1) };
        access.apply(&AccessChange::SetUserLimits { user: "ann".into(), limits });
        access.apply(&set_topic("ann", "/", "a", "x"));
        assert_eq!(access.user_limits("ann").iter().collect::<Vec<_>>(), [("max-channels", -1)]);
        access.apply(&AccessChange::DeleteUser { name: "ann".into() });
        assert_eq!(access.user_limits("ann"), UserLimits::default());
        assert!(access.snapshot().is_empty());
    }

    #[test]
    fn a_snapshot_gives_the_same_users_and_permissions_again() {
        let access = AccessControl::new(["guest"]);
        access.seed_default_user("guest", "guest");
        access.apply(&put_user("ann", Some("secret")));
        access.apply(&set_permissions("ann", "/", "(wrong"));
        access.apply(&set_topic("ann", "/", "amq.topic", "^{username}$"));
        let limits = UserLimits { max_connections: Some(3), max_channels: None };
        access.apply(&AccessChange::SetUserLimits { user: "ann".into(), limits });
        let again = AccessControl::new(["guest"]);
        access.snapshot().iter().for_each(|change| again.apply(change));
        assert_eq!(again.snapshot(), access.snapshot());
        assert_eq!(again.user_limits("ann"), limits);
        let topics = again.topic_permissions("ann", "/").unwrap();
        assert!(topics.of_exchange("amq.topic").unwrap().may_write("ann"));
        assert!(again.authenticate_password("ann", "secret", false).is_ok());
        assert!(!again.permissions("ann", "/").unwrap().may_read("q"), "a wrong pattern denies");
    }
}
