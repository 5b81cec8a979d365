//! The command line of what is managed by HTTP: users, permissions, virtual hosts, definitions.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::NodeArgs;

#[derive(Debug, Args)]
pub(crate) struct UserCommand {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(subcommand)]
    pub(crate) action: UserAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserAction {
    /// Make a user
    Add {
        /// The user's name
        name: String,
        /// The user's password; left out or `-`, it is a line of standard input
        #[arg(default_value = "-", hide_default_value = true, conflicts_with = "no_password")]
        new_password: String,
        /// A user who can't log in by password
        #[arg(long)]
        no_password: bool,
        /// Tags such as administrator, monitoring, policymaker, management, with commas
        #[arg(long, value_name = "TAGS", value_delimiter = ',')]
        tags: Vec<String>,
    },
    /// All users with their tags
    List,
    /// Take a user away, with all permissions
    Delete {
        /// The user's name
        name: String,
    },
    /// Give a user another password
    SetPassword {
        /// The user's name
        name: String,
        /// The new password; left out or `-`, it is a line of standard input
        #[arg(default_value = "-", hide_default_value = true)]
        new_password: String,
    },
    /// Give a user these tags in place of those before; none takes all away
    SetTags {
        /// The user's name
        name: String,
        /// Tags such as administrator, monitoring, policymaker, management
        tags: Vec<String>,
    },
    /// How much users may have open: set, list, clear
    #[command(subcommand)]
    Limits(UserLimitsAction),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserLimitsAction {
    /// Set a limit, for what is opened from now on
    Set {
        /// The user's name
        name: String,
        /// max-connections or max-channels
        limit: String,
        /// How many there may be; below 0, any number
        #[arg(allow_negative_numbers = true)]
        value: i64,
    },
    /// The limits of all users, or of one
    List {
        /// The user's name
        name: Option<String>,
    },
    /// Take a limit away
    Clear {
        /// The user's name
        name: String,
        /// max-connections or max-channels
        limit: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PermissionCommand {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(subcommand)]
    pub(crate) action: PermissionAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PermissionAction {
    /// Set what a user may do in the virtual host; each is a regular expression over names
    Set {
        /// The user's name
        name: String,
        /// What may be declared and deleted
        configure: String,
        /// What may be published to and bound to
        write: String,
        /// What may be consumed from and bound from
        read: String,
    },
    /// The permissions in the virtual host, or those of one user in all of them
    List {
        /// The user's name
        name: Option<String>,
    },
    /// Take a user's access to the virtual host away
    Clear {
        /// The user's name
        name: String,
    },
    /// Which routing keys a user may use with a topic exchange: set, list, clear
    #[command(subcommand)]
    Topic(TopicAction),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicAction {
    /// Restrict routing keys; {username} and {vhost} in a pattern stand for those names
    Set {
        /// The user's name
        name: String,
        /// The exchange, of the type topic
        exchange: String,
        /// A regular expression over the keys that may be published with
        write: String,
        /// A regular expression over the keys that may be bound with
        read: String,
    },
    /// The restrictions in the virtual host, or those of one user in all of them
    List {
        /// The user's name
        name: Option<String>,
    },
    /// Take a user's restrictions in the virtual host away
    Clear {
        /// The user's name
        name: String,
        /// Only that with this exchange
        exchange: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VhostCommand {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(subcommand)]
    pub(crate) action: VhostAction,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Switch {
    /// It begins
    On,
    /// It ends
    Off,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VhostAction {
    /// Make a virtual host, in which --user may do everything, or change what is said about one
    Add {
        /// Its name
        name: String,
        /// For people
        #[arg(long)]
        description: Option<String>,
        /// For tools, with commas
        #[arg(long, value_name = "TAGS", value_delimiter = ',')]
        tags: Option<Vec<String>>,
        /// The type of queues that don't say it: classic
        #[arg(long, value_name = "TYPE")]
        default_queue_type: Option<String>,
    },
    /// All virtual hosts that --user sees
    List,
    /// Trace what is published and delivered in a virtual host, or end that
    Trace {
        /// Whether to trace
        state: Switch,
        /// Its name
        name: String,
    },
    /// Take a virtual host away, with everything in it
    Delete {
        /// Its name
        name: String,
    },
    /// Refuse to delete a virtual host
    Protect {
        /// Its name
        name: String,
    },
    /// Let a virtual host be deleted again
    Unprotect {
        /// Its name
        name: String,
    },
    /// How much the virtual host of --vhost may have: set, list, clear
    #[command(subcommand)]
    Limits(VhostLimitsAction),
}

#[derive(Debug, Subcommand)]
pub(crate) enum VhostLimitsAction {
    /// Set a limit, for what is opened and declared from now on
    Set {
        /// max-connections or max-queues
        limit: String,
        /// How many there may be; below 0, any number
        #[arg(allow_negative_numbers = true)]
        value: i64,
    },
    /// The limits of all virtual hosts that --user sees
    List,
    /// Take a limit away
    Clear {
        /// max-connections or max-queues
        limit: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PolicyCommand {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(subcommand)]
    pub(crate) action: PolicyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAction {
    /// Set a policy, for what is there and what will be
    Set {
        /// The policy's name
        name: String,
        /// A regular expression over names, found anywhere in a name unless it is anchored
        pattern: String,
        /// What it sets, as JSON: '{"max-length": 1000}'
        definition: String,
        /// Of several that match, the one with the highest is in force
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        priority: i64,
        /// all, queues, classic_queues, quorum_queues, streams, exchanges
        #[arg(long, value_name = "WHAT", default_value = "all")]
        apply_to: String,
    },
    /// All of the virtual host, the strongest first
    List,
    /// One of them
    Show {
        /// The policy's name
        name: String,
    },
    /// Take a policy away
    Clear {
        /// The policy's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DefinitionsCommand {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Only exchanges, queues, bindings and policies of the virtual host of --vhost
    #[arg(long, global = true)]
    pub(crate) only_vhost: bool,
    #[command(subcommand)]
    pub(crate) action: DefinitionsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionsAction {
    /// Write users, virtual hosts, permissions, policies, exchanges, queues and bindings to a file
    Export {
        /// The file, made for its owner's eyes only; left out or `-`, standard output
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
    /// Make what a file of Shunt or RabbitMQ says, and list what can't be made
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
    },
}
