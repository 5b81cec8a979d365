//! Names of virtual hosts, exchanges and queues.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::limits::SHORT_STRING_MAX;

/// A name is longer than a short string can carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has {length} bytes, at most {SHORT_STRING_MAX} are allowed")]
pub struct NameError {
    /// The length that was asked for, in bytes.
    pub length: usize,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the length (at most 255 bytes of UTF-8) and takes the name.
            pub fn new(name: &str) -> Result<Self, NameError> {
                if name.len() > SHORT_STRING_MAX {
                    return Err(NameError { length: name.len() });
                }
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as text that whoever keeps it shares.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }

            /// The name again of what [`shared`](Self::shared) gave.
            pub fn of_shared(name: Arc<str>) -> Self {
                debug_assert!(name.len() <= SHORT_STRING_MAX);
                Self(name)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A virtual host's name.
    VhostName
);
name!(
    /// An exchange's name; empty for the default exchange.
    ExchangeName
);
name!(
    /// A queue's name.
    QueueName
);

impl ExchangeName {
    /// Whether this is the default exchange, to which every queue is bound by its name.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!(QueueName::new(&"q".repeat(255)).is_ok());
        assert_eq!(QueueName::new(&"q".repeat(256)), Err(NameError { length: 256 }));
    }
}
