//! Who may do what: users, passwords, permissions, and the SASL mechanisms by which a client
//! says who it is.
//!
//! May depend on `shunt-types` and nothing else of ours. Must never know frames or HTTP: a front
//! door hands over the mechanism's name and the response's bytes, or a name and a password, and
//! gets a [`User`] or an [`AuthError`] whose text is what RabbitMQ logs. Nothing here is async,
//! reads a file or takes the time.
//!
//! All of it is one immutable snapshot behind [`AccessControl`], swapped on change. Every change
//! is an [`AccessChange`], so that the node can write changes to its log and apply them again at
//! the next start. Callers keep the [`Permissions`] that they looked up for as long as
//! [`AccessControl::revision`] stays what it was.
//!
//! ```
//! use shunt_auth::AccessControl;
//!
//! let access = AccessControl::new(["guest"]);
//! access.seed_default_user("guest", "guest");
//! let user = access.authenticate("PLAIN", b"\0guest\0guest", true).unwrap();
//! assert!(user.has_tag("administrator"));
//! assert!(access.permissions(user.name(), "/").unwrap().may_write("orders"));
//! assert!(access.authenticate("PLAIN", b"\0guest\0guest", false).is_err(), "not on this machine");
//! ```

mod access;
mod error;
mod limits;
mod password;
mod permissions;
mod sasl;
mod topic;
mod user;

pub use access::{AccessChange, AccessControl, PermissionEntry};
pub use error::{AuthError, LoginRefusal};
pub use limits::UserLimits;
pub use password::{HashingAlgorithm, PasswordError, PasswordHash};
pub use permissions::{NamePattern, PatternError, Permissions};
pub use sasl::AnonymousLogin;
pub use topic::{TopicPermission, TopicPermissionEntry, TopicPermissions};
pub use user::{ADMINISTRATOR, User};
