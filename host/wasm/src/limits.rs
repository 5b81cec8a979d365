//! What a route may use: defaults, hard maxima, and a route's own settings.

/// A limit that was asked for and can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no limit of that name.
    #[error("unknown limit '{0}'")]
    Unknown(String),
    /// The value is above what any setting can allow.
    #[error("limit '{name}' is {value}, at most {maximum} is allowed")]
    AboveMaximum {
        /// The limit.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The hard maximum.
        maximum: u64,
    },
    /// Nothing can run with this limit at zero.
    #[error("limit '{0}' must not be 0")]
    Zero(&'static str),
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $default:expr, $minimum:literal to $maximum:expr;)*) => {
        /// The limits in force for a route. [`RouteLimits::default`] has the defaults of a node;
        /// every limit has a hard maximum that neither node nor route can pass.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct RouteLimits {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Default for RouteLimits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl RouteLimits {
            /// The limits' names, as settings and deployments spell them.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The limits by name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// Checks every limit against its hard maximum.
            ///
            /// # Errors
            /// The first limit that is zero or above.
            pub fn check(&self) -> Result<(), LimitError> {
                $(check(stringify!($name), self.$name, $minimum, $maximum)?;)*
                Ok(())
            }

            /// These limits, with a route's own in their place.
            ///
            /// # Errors
            /// The first limit that is zero or above its hard maximum.
            pub fn overridden(&self, own: &LimitOverrides) -> Result<Self, LimitError> {
                let mut limits = Self { $($name: own.$name.unwrap_or(self.$name),)* };
                if own.component_memory_bytes.is_none() && own.memory_bytes.is_some() {
                    limits.component_memory_bytes = limits.memory_bytes;
                }
                limits.check()?;
                Ok(limits)
            }
        }

        /// A route's own limits, given at deploy; `None` is the node's.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct LimitOverrides {
            $($(#[$doc])* pub $name: Option<u64>,)*
        }

        impl LimitOverrides {
            /// Sets a limit by its name.
            ///
            /// # Errors
            /// [`LimitError::Unknown`].
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), LimitError> {
                match name {
                    $(stringify!($name) => self.$name = Some(value),)*
                    other => return Err(LimitError::Unknown(other.to_owned())),
                }
                Ok(())
            }

            /// The limits that were given, by name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

limits! {
    /// Processor time of one call for a message, in microseconds.
    call_cpu_time_us: 5_000, 1 to 1_000_000;
    /// Processor time of one call that isn't for a message (start, describe, configure,
    /// check-binding, bindings), in microseconds.
    setup_cpu_time_us: 200_000, 1 to 10_000_000;
    /// Linear memory of one instance of a core module, in bytes. Given for a route that is a
    /// component, it is that one's limit.
    memory_bytes: 16 * MIB, 1 to 1024 * MIB;
    /// Linear memory of one instance of a component, in bytes: a language's whole runtime may be
    /// in it.
    component_memory_bytes: 128 * MIB, 1 to 1024 * MIB;
    /// Elements of all tables of one instance.
    table_elements: 20_000, 1 to 1_000_000;
    /// Size of the uploaded module, in bytes.
    module_bytes: 32 * MIB, 1 to 256 * MIB;
    /// Size of one answer, in bytes.
    answer_bytes: 64 * KIB, 1 to 16 * MIB;
    /// Destinations in one answer.
    destinations: 10_000, 1 to 100_000;
    /// Log text of all instances of a version, in bytes a second; more is dropped and counted.
    log_bytes_per_second: 64 * KIB, 1 to 16 * MIB;
    /// Keys and values of the map of one exchange (capability `state`), in bytes, with what the
    /// host needs for each entry.
    state_bytes: MIB, 1 to 256 * MIB;
    /// Answers of a route without capabilities that each thread keeps for an exchange; 0 keeps
    /// none.
    cache_entries: 256, 0 to 65_536;
    /// Traps, timeouts (each of which counts for ten) and wants of memory within ten seconds, at
    /// least half of all calls, after which a thread stops calling the route for an exchange.
    breaker_failures: 100, 1 to 1_000_000_000;
    /// How long it stops, in milliseconds; up to 64 times as long where it fails again after that.
    breaker_pause_ms: 1_000, 1 to 3_600_000;
    /// Live instances of one version, over all exchanges and threads.
    instances: 1_024, 1 to 65_536;
}

fn check(name: &'static str, value: u64, minimum: u64, maximum: u64) -> Result<(), LimitError> {
    match value {
        value if value < minimum => Err(LimitError::Zero(name)),
        value if value > maximum => Err(LimitError::AboveMaximum { name, value, maximum }),
        _ => Ok(()),
    }
}

/// Bytes of one log line; the rest is cut.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a route's reason or a trap's text that are kept.
pub(crate) const DETAIL_BYTES_MAX: usize = 1024;
/// Core instances, and tables, and memories, that one component may be made of. CPython has 38
/// core modules.
pub(crate) const COMPONENT_PARTS_MAX: usize = 256;
/// Handles of WASI's resources that one instance may hold: streams and the like.
pub(crate) const WASI_HANDLES_MAX: u32 = 1_024;
/// What an entry of a route's state counts beside its key and its value.
pub(crate) const STATE_ENTRY_BYTES: usize = 64;
/// Time in which the failures that open a breaker are counted.
pub(crate) const BREAKER_WINDOW_NS: u64 = 10_000_000_000;
/// Failures that a timeout counts for: with the defaults, a thread gives a route that does nothing
/// else fifty milliseconds.
pub(crate) const BREAKER_TIMEOUT_WEIGHT: u64 = 10;
/// How often the pause of a breaker doubles that opens again and again.
pub(crate) const BREAKER_DOUBLINGS_MAX: u32 = 6;
/// Bytes of the fields of a message whose answer is kept.
pub(crate) const ANSWER_KEY_BYTES_MAX: usize = 512;
/// Destinations of an answer that is kept.
pub(crate) const ANSWER_DESTINATIONS_MAX: usize = 64;
/// Guards of a version: as many as there are bits in the mask of what an answer breaks.
pub(crate) const GUARDS_MAX: usize = 32;
/// Bytes of a guard's name, and of its rule.
pub(crate) const GUARD_NAME_BYTES_MAX: usize = 64;
pub(crate) const GUARD_BYTES_MAX: usize = 1024;
/// How often a thread logs that guards are broken, at most.
pub(crate) const GUARD_LOG_NS: u64 = 1_000_000_000;
/// Messages of a canary's step that are decided with fuel, and of them, those that wait for it;
/// messages with more bytes of properties are left out.
pub(crate) const CANARY_SAMPLES: usize = 256;
pub(crate) const CANARY_SAMPLES_WAITING: usize = 16;
pub(crate) const CANARY_SAMPLE_BYTES_MAX: usize = 16 * 1024;
/// Fields that a module may declare.
pub(crate) const READS_MAX: usize = 256;
/// Units of fuel that a dry run allows for a microsecond of the processor-time limit: a little
/// more than a tight loop burns.
pub(crate) const FUEL_PER_US: u64 = 20_000;
/// Log lines that a dry run collects.
pub(crate) const DRY_RUN_LOG_LINES_MAX: usize = 1_000;
/// How long a failed set-up of an instance (trap, timeout) stands before it is tried again.
pub(crate) const SETUP_RETRY_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_the_hard_maxima() {
        RouteLimits::default().check().unwrap();
    }

    #[test]
    fn an_override_above_the_maximum_is_refused_by_name() {
        let mut own = LimitOverrides::default();
        own.set("memory_bytes", 2048 * MIB).unwrap();
        let error = RouteLimits::default().overridden(&own).unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit 'memory_bytes' is 2147483648, at most 1073741824 is allowed"
        );
        own.set("memory_bytes", 0).unwrap();
        assert_eq!(RouteLimits::default().overridden(&own), Err(LimitError::Zero("memory_bytes")));
        assert_eq!(own.set("speed", 1), Err(LimitError::Unknown("speed".into())));
    }

    #[test]
    fn an_override_stands_in_the_place_of_the_default() {
        let mut own = LimitOverrides::default();
        own.set("call_cpu_time_us", 7).unwrap();
        let limits = RouteLimits::default().overridden(&own).unwrap();
        assert_eq!(limits.call_cpu_time_us, 7);
        assert_eq!(limits.memory_bytes, RouteLimits::default().memory_bytes);
        assert_eq!(own.iter().collect::<Vec<_>>(), [("call_cpu_time_us", 7)]);
    }

    #[test]
    fn a_route_gives_its_memory_once_for_either_encoding() {
        let mut own = LimitOverrides::default();
        own.set("memory_bytes", 7 * MIB).unwrap();
        let limits = RouteLimits::default().overridden(&own).unwrap();
        assert_eq!((limits.memory_bytes, limits.component_memory_bytes), (7 * MIB, 7 * MIB));
        own.set("component_memory_bytes", 9 * MIB).unwrap();
        let limits = RouteLimits::default().overridden(&own).unwrap();
        assert_eq!((limits.memory_bytes, limits.component_memory_bytes), (7 * MIB, 9 * MIB));
    }
}
