//! Who has how many connections and channels open, and who may have more (RabbitMQ's limits).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use shunt_types::{AmqpError, ReplyCode};

/// What is open on the node. Asked when a connection or a channel is opened, never on the way of
/// a message.
#[derive(Debug, Default)]
pub struct Admission {
    connections: Mutex<Connections>,
    channels: AtomicU64,
}

#[derive(Debug, Default)]
struct Connections {
    all: u64,
    vhosts: HashMap<String, u64>,
    users: HashMap<String, Arc<UserCounts>>,
}

/// What one user has open.
#[derive(Debug, Default)]
struct UserCounts {
    /// Changed under the lock.
    connections: AtomicU64,
    channels: AtomicU64,
}

/// How many connections there may be; none of these is a limit where it is absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionLimits {
    pub(crate) node: Option<u64>,
    pub(crate) vhost: Option<u64>,
    pub(crate) user: Option<u64>,
}

/// An open connection; its drop makes room for another one.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    user: String,
    vhost: String,
    counts: Arc<UserCounts>,
}

/// An open channel; its drop makes room for another one.
#[derive(Debug)]
pub(crate) struct ChannelPermit {
    admission: Arc<Admission>,
    counts: Arc<UserCounts>,
}

/// A limit as it is given: below 0 there is none.
pub(crate) fn bound(limit: Option<i64>) -> Option<u64> {
    u64::try_from(limit?).ok()
}

impl Admission {
    /// Lets a connection in, or says which limit is reached: the node's, the virtual host's and
    /// the user's are looked at in this order.
    ///
    /// # Errors
    /// `NOT_ALLOWED` (530) in RabbitMQ's words.
    pub(crate) fn admit(
        self: &Arc<Self>,
        user: &str,
        vhost: &str,
        limits: ConnectionLimits,
    ) -> Result<Admitted, AmqpError> {
        let mut connections = self.connections.lock();
        let refused = |text: String| Err(AmqpError::new(ReplyCode::NotAllowed, text));
        if let Some(limit) = reached(limits.node, connections.all) {
            return refused(format!(
                "connection refused: node connection limit ({limit}) is reached"
            ));
        }
        let in_vhost = connections.vhosts.get(vhost).copied().unwrap_or(0);
        if let Some(limit) = reached(limits.vhost, in_vhost) {
            return refused(format!(
                "access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) \
                 is reached"
            ));
        }
        let of_user = connections.users.get(user);
        let of_user = of_user.map_or(0, |counts| counts.connections.load(Ordering::Relaxed));
        if let Some(limit) = reached(limits.user, of_user) {
            return refused(format!(
                "connection refused for user '{user}': user connection limit ({limit}) is reached"
            ));
        }
        connections.all += 1;
        *connections.vhosts.entry_ref(vhost).or_default() += 1;
        let counts = connections.users.entry_ref(user).or_default().clone();
        counts.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Admitted {
            admission: self.clone(),
            user: user.to_owned(),
            vhost: vhost.to_owned(),
            counts,
        })
    }
}

impl Admitted {
    /// Lets another channel of the connection's user in. `node` is the node's name.
    ///
    /// # Errors
    /// `NOT_ALLOWED` (530) in RabbitMQ's words.
    pub(crate) fn open_channel(
        &self,
        node: &str,
        of_node: Option<u64>,
        of_user: Option<u64>,
    ) -> Result<ChannelPermit, AmqpError> {
        let refused = |text: String| AmqpError::new(ReplyCode::NotAllowed, text);
        take(&self.admission.channels, of_node).map_err(|limit| {
            refused(format!(
                "number of channels opened on node '{node}' has reached the maximum allowed limit \
                 of ({limit})"
            ))
        })?;
        take(&self.counts.channels, of_user).map_err(|limit| {
            self.admission.channels.fetch_sub(1, Ordering::Relaxed);
            refused(format!(
                "number of channels opened for user '{}' has reached the maximum allowed user \
                 limit of ({limit})",
                self.user
            ))
        })?;
        Ok(ChannelPermit { admission: self.admission.clone(), counts: self.counts.clone() })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut connections = self.admission.connections.lock();
        connections.all -= 1;
        if let Some(count) = connections.vhosts.get_mut(&self.vhost) {
            *count -= 1;
            if *count == 0 {
                connections.vhosts.remove(&self.vhost);
            }
        }
        // Who has none left is forgotten; whoever comes next begins with new counts.
        if self.counts.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            connections.users.remove(&self.user);
        }
    }
}

impl Drop for ChannelPermit {
    fn drop(&mut self) {
        self.admission.channels.fetch_sub(1, Ordering::Relaxed);
        self.counts.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The limit, where the count has reached it.
fn reached(limit: Option<u64>, count: u64) -> Option<u64> {
    limit.filter(|limit| count >= *limit)
}

/// Counts one more, or answers the limit that is reached.
fn take(count: &AtomicU64, limit: Option<u64>) -> Result<(), u64> {
    let more = |count: u64| reached(limit, count).is_none().then_some(count + 1);
    let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    taken.map(drop).map_err(|_| limit.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_node_vhost_and_user() {
        let admission = Arc::new(Admission::default());
        let refused = |user: &str, vhost: &str, limits| {
            admission.admit(user, vhost, limits).unwrap_err().explanation
        };
        let none = ConnectionLimits::default();
        let first = admission.admit("ann", "/", none).unwrap();
        let node = ConnectionLimits { node: Some(1), ..none };
        assert!(refused("bob", "v", node).contains("node connection limit (1) is reached"));
        let vhost = ConnectionLimits { vhost: Some(1), ..none };
        assert!(refused("bob", "/", vhost).contains("vhost '/' refused for user 'bob'"));
        drop(admission.admit("ann", "v", vhost).unwrap());
        let user = ConnectionLimits { user: Some(1), ..none };
        assert!(refused("ann", "v", user).contains("user connection limit (1) is reached"));
        drop(admission.admit("bob", "/", user).unwrap());
        drop(first);
        drop(admission.admit("ann", "/", user).unwrap());
        assert!(refused("ann", "/", ConnectionLimits { user: Some(0), ..none }).contains("(0)"));
        let connections = admission.connections.lock();
        assert!(connections.all == 0 && connections.users.is_empty());
        assert!(connections.vhosts.is_empty());
    }

    #[test]
    fn channels_are_counted_over_the_connections_of_a_user() {
        let admission = Arc::new(Admission::default());
        let none = ConnectionLimits::default();
        let [one, two] = [(); 2].map(|()| admission.admit("ann", "/", none).unwrap());
        let held = one.open_channel("n", None, Some(1)).unwrap();
        let refused = two.open_channel("n", None, Some(1)).unwrap_err();
        let text = "number of channels opened for user 'ann' has reached the maximum allowed user \
                    limit of (1)";
        assert_eq!(refused.explanation, text);
        let refused = two.open_channel("n", Some(1), None).unwrap_err();
        assert!(refused.explanation.contains("on node 'n'"), "{refused}");
        drop(held);
        two.open_channel("n", Some(1), Some(1)).unwrap();
        assert_eq!((bound(Some(-1)), bound(Some(0)), bound(None)), (None, Some(0), None));
    }
}
