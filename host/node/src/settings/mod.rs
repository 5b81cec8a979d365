//! The settings: one table of them, four sources, one check.
//!
//! A value comes from the defaults below, a file, the environment or a flag; each source beats
//! those before it. Wherever it came from it is checked by the same rule, and a refusal names
//! the setting, the value, what is allowed and the source.

mod env;
mod file;
mod given;
mod show;
mod value;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use shunt_types::limits;

use crate::cli::GivenFlag;
use given::Given;
pub(crate) use given::{SettingError, ShownSetting, Source};
pub(crate) use show::show;
pub(crate) use value::{ConnectionMoves, LogFormat, LogLevel};

macro_rules! settings {
    ($(
        $(#[$section_doc:meta])* $section:ident: $type:ident {
            $($(#[$doc:meta])* $name:ident: $value:ty = $default:expr, $rule:expr;)*
        }
    )*) => {
        /// All settings of a node, checked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct Settings {
            $($(#[$section_doc])* pub(crate) $section: $type,)*
        }

        $(
            $(#[$section_doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub(crate) struct $type {
                $($(#[$doc])* pub(crate) $name: $value,)*
            }
        )*

        /// Every setting, as `section.name`.
        const NAMES: &[&str] =
            &[$($(concat!(stringify!($section), ".", stringify!($name)),)*)*];

        /// Every section.
        const SECTIONS: &[&str] = &[$(stringify!($section)),*];

        impl Settings {
            fn check(given: &mut Given) -> Result<Self, SettingError> {
                Ok(Self {
                    $($section: $type {
                        $($name: given.take(
                            concat!(stringify!($section), ".", stringify!($name)),
                            $default,
                            $rule,
                        )?,)*
                    },)*
                })
            }
        }
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

settings! {
    /// The node itself.
    node: NodeSettings {
        /// Folder for everything that is kept.
        data_dir: PathBuf = PathBuf::from("shunt-data"), ();
        /// Threads that own connections and queues; 0 for one a core.
        shards: u16 = 0, 0..=limits::SHARDS_MAX;
        /// Resident memory above which publishers wait, in bytes; 0 for 60 % of the machine's.
        memory_limit_bytes: u64 = 0, 0..=u64::MAX;
        /// Memory that the ready messages of one queue may take, in bytes, where they are on disk
        /// anyway; the rest is read when it is wanted.
        queue_memory_bytes: u64 = limits::QUEUE_MEMORY, limits::QUEUE_MEMORY_MIN..=u64::MAX;
        /// The same for transient messages, which are written to disk beyond it; at least
        /// `queue_memory_bytes` is taken.
        queue_transient_memory_bytes: u64 =
            limits::QUEUE_TRANSIENT_MEMORY, limits::QUEUE_MEMORY_MIN..=u64::MAX;
        /// Bytes of a file of the log of messages before the next one begins; space comes back by
        /// whole files.
        segment_bytes: u64 = 64 * MIB, MIB..=1024 * MIB;
        /// Free disk below which publishers wait, in bytes.
        disk_free_limit_bytes: u64 = 50 * MIB, 0..=u64::MAX;
    }
    /// The AMQP front door.
    amqp: AmqpSettings {
        /// Where it listens.
        listen: SocketAddr = loopback(5672), ();
        /// Largest frame, in bytes, envelope included.
        frame_max: u32 = limits::FRAME_MAX, limits::FRAME_MAX_MIN..=16 * MIB as u32;
        /// Most channels of one connection.
        channel_max: u16 = limits::CHANNEL_MAX, 1..=u16::MAX;
        /// Most connections of the node; 0 for any number.
        connection_max: u64 = 0, 0..=u64::MAX;
        /// Most channels of all connections of the node; 0 for any number.
        channel_max_per_node: u64 = 0, 0..=u64::MAX;
        /// Heartbeat that is suggested to clients, in seconds; 0 for none.
        heartbeat_s: u16 = limits::HEARTBEAT_S, 0..=u16::MAX;
        /// Time for the whole handshake, in milliseconds.
        handshake_timeout_ms: u64 = limits::HANDSHAKE_TIMEOUT_MS, 100..=600_000;
        /// Longest time that a delivery may wait for its acknowledgement, in milliseconds; 0 for
        /// ever. A consumer that takes longer is cancelled, or its channel closed.
        consumer_timeout_ms: u64 = limits::CONSUMER_TIMEOUT_MS, 0..=315_360_000_000;
        /// Time after which a client that takes none of what is sent to it is cut off, in
        /// milliseconds.
        send_timeout_ms: u64 = limits::SEND_TIMEOUT_MS, 100..=600_000;
        /// Bytes that the system may hold of what a client sent and was not read yet, at least 64 KiB;
        /// 0 for 256 KiB where the client is on this machine, and otherwise what the system makes of it.
        receive_buffer_bytes: u32 = 0, 0..=limits::SOCKET_BUFFER_MAX;
        /// Bytes that the system may hold of what is sent to a client; 0 as above.
        send_buffer_bytes: u32 = 0, 0..=limits::SOCKET_BUFFER_MAX;
        /// Whether connections move to the thread of the queues that they use: while both threads have
        /// time, never, or, for tests, always.
        moves: ConnectionMoves = ConnectionMoves::default(), ();
        /// Largest body of a message, in bytes.
        message_size_max: u64 = limits::MESSAGE_SIZE_MAX, 1..=limits::MESSAGE_SIZE_HARD_MAX;
    }
    /// The HTTP front door.
    http: HttpSettings {
        /// Where it listens.
        listen: SocketAddr = loopback(15672), ();
        /// Time for settling a message got with `ack=manual`, in seconds, before it goes back.
        lease_timeout_s: u64 = 30, 1..=86_400;
        /// Whether `/metrics` answers without a login, as RabbitMQ's exporter does.
        metrics_without_login: bool = true, ();
    }
    /// Users.
    auth: AuthSettings {
        /// The administrator that a new node starts with.
        default_user: String = "guest".to_owned(), ();
        /// That user's password.
        default_pass: String = "guest".to_owned(), ();
        /// Users who may log in from the node's own machine only.
        loopback_users: Vec<String> = vec!["guest".to_owned()], ();
        /// The user as whom clients log in that give no name (SASL ANONYMOUS); `none` for nobody.
        anonymous_user: String = "guest".to_owned(), ();
        /// The password that is tried for that user: no more than its own opens the door.
        anonymous_pass: String = "guest".to_owned(), ();
    }
    /// Limits of WebAssembly routes.
    routes: RouteSettings {
        /// Processor time of one call, in microseconds.
        call_cpu_time_us: u64 = 5_000, 1..=1_000_000;
        /// Processor time of one call that is not for a message, in microseconds.
        setup_cpu_time_us: u64 = 200_000, 1..=10_000_000;
        /// Linear memory of one instance of a core module, in bytes.
        memory_bytes: u64 = 16 * MIB, 64 * KIB..=1024 * MIB;
        /// Linear memory of one instance of a component, in bytes.
        component_memory_bytes: u64 = 128 * MIB, 64 * KIB..=1024 * MIB;
        /// Elements of all tables of one instance.
        table_elements_max: u64 = 20_000, 1..=1_000_000;
        /// Size of an uploaded module, in bytes.
        module_bytes_max: u64 = 32 * MIB, 1..=256 * MIB;
        /// Log text of all instances of a version, in bytes a second; more is dropped.
        log_bytes_per_s: u64 = 64 * KIB, 1..=16 * MIB;
        /// Size of one answer, in bytes.
        answer_bytes_max: u64 = 64 * KIB, 1..=16 * MIB;
        /// Destinations in one answer.
        destinations_max: u64 = 10_000, 1..=100_000;
        /// Keys and values that the routes of one exchange may keep, in bytes.
        state_bytes_max: u64 = MIB, 1..=256 * MIB;
        /// Live instances of one version.
        instances_max: u64 = 1_024, 1..=65_536;
        /// Answers that each thread keeps for an exchange; 0 keeps none.
        cache_entries: u64 = 256, 0..=65_536;
        /// Traps, timeouts and wants of memory within ten seconds after which a route rests.
        breaker_failures: u64 = 100, 1..=1_000_000_000;
        /// How long it rests, in milliseconds.
        breaker_pause_ms: u64 = 1_000, 1..=3_600_000;
    }
    /// The node's own log.
    log: LogSettings {
        /// For people or for programs.
        format: LogFormat = LogFormat::Human, ();
        /// What is logged.
        level: LogLevel = LogLevel::default(), ();
    }
}

/// Never shown.
const SECRETS: &[&str] = &["auth.default_pass", "auth.anonymous_pass"];

/// The settings in force, and where each came from.
#[derive(Debug)]
pub(crate) struct LoadedSettings {
    pub(crate) settings: Settings,
    /// In the table's order.
    pub(crate) shown: Vec<ShownSetting>,
}

/// Gathers the settings. `config` is the file of the flag; without it the environment may name
/// one.
pub(crate) fn load(
    flags: &[GivenFlag<'_>],
    config: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<LoadedSettings, SettingError> {
    let environment = env::read(environment)?;
    let mut given = Given::default();
    if let Some(path) = config.map(Path::to_owned).or(environment.config) {
        file::read(&path, &mut given)?;
    }
    for (setting, variable, value) in environment.values {
        given.put(setting, given::Raw::Text(value), Source::Environment { variable });
    }
    for GivenFlag { setting, flag, value } in flags {
        given.put(setting, given::Raw::Text((*value).to_owned()), Source::Flag { flag });
    }
    let settings = Settings::check(&mut given)?;
    Ok(LoadedSettings { settings, shown: given.into_shown() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(file: &str, variables: &[(&str, &str)]) -> Result<LoadedSettings, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("shunt.toml");
        std::fs::write(&path, file).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let flag = GivenFlag { setting: "log.level", flag: "--log-level", value: "debug" };
        load(&[flag], Some(&path), variables)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    #[track_caller]
    fn check_refused(file: &str, variables: &[(&str, &str)], expected: &str) {
        assert_eq!(load_with(file, variables).unwrap_err(), expected);
    }

    #[test]
    fn each_source_beats_those_before_it() {
        let file = "amqp.heartbeat_s = 5\n[auth]\nloopback_users = []\n[log]\nlevel = \"warn\"\n";
        let variables = [("SHUNT_AMQP_HEARTBEAT_S", "7"), ("SHUNT_DATA_DIR", "/d"), ("HOME", "/")];
        let loaded = load_with(file, &variables).unwrap();
        assert_eq!(loaded.settings.amqp.heartbeat_s, 7);
        assert_eq!(loaded.settings.node.data_dir, PathBuf::from("/d"));
        assert!(loaded.settings.auth.loopback_users.is_empty());
        assert_eq!(loaded.settings.log.level.as_str(), "debug");
        assert_eq!(loaded.settings.http.listen.port(), 15672);
    }

    #[test]
    fn what_is_unknown_is_refused_with_its_place() {
        let text = "FILE:2:1: unknown setting 'amqp.listn', did you mean 'amqp.listen'?";
        check_refused("[amqp]\nlistn = 1\n", &[], text);
        let text = "FILE:1:2: unknown section 'amqq', did you mean 'amqp'?";
        check_refused("[amqq]\n", &[], text);
        check_refused("zzzzzz = 1\n", &[], "FILE:1:1: unknown section 'zzzzzz'");
        check_refused("amqp = 1\n", &[], "FILE:1:1: 'amqp' is a section, not a value");
        let text = "unknown environment variable SHUNT_AMQP_LISTN, did you mean SHUNT_AMQP_LISTEN?";
        check_refused("", &[("SHUNT_AMQP_LISTN", "x")], text);
        let error = load_with("[amqp\n", &[]).unwrap_err();
        assert!(error.starts_with("FILE:1:6: "), "{error}");
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_range_and_source() {
        let text = "amqp.frame_max = 12 (from FILE:2): must be a number from 8192 to 16777216";
        check_refused("[amqp]\nframe_max = 12\n", &[], text);
        let text = "amqp.channel_max = \"70000\" (from environment SHUNT_AMQP_CHANNEL_MAX): \
                    must be a number from 1 to 65535";
        check_refused("", &[("SHUNT_AMQP_CHANNEL_MAX", "70000")], text);
        let text = "http.listen = \"here\" (from FILE:1): must be an address and a port, \
                    such as 127.0.0.1:5672";
        check_refused("http.listen = \"here\"", &[], text);
        let text = "auth.loopback_users = 1 (from FILE:1): must be a list of names";
        check_refused("auth.loopback_users = 1", &[], text);
        let text = "auth.default_pass = \"********\" (from FILE:1): must be 1 to 255 bytes of text";
        check_refused(&format!("auth.default_pass = \"{}\"", "x".repeat(300)), &[], text);
    }

    #[test]
    fn variables_of_kubernetes_and_of_our_scripts_are_no_settings() {
        let variables = [
            ("SHUNT_SERVICE_HOST", "10.0.0.1"),
            ("SHUNT_PORT_5672_TCP", "tcp://10.0.0.1:5672"),
            ("SHUNT_PEER_AMQP_PORT", "5673"),
            ("SHUNT_WASM_TOOLCHAIN", "nightly"),
        ];
        assert!(load_with("", &variables).is_ok());
    }
}
