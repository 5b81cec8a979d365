//! What an import answers.

use serde::Serialize;
use utoipa::ToSchema;

/// What became of a file.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::management) struct Report {
    /// How many of each are there now as the file says.
    pub(super) imported: Imported,
    /// What was left out, or done in part.
    pub(super) not_honoured: Vec<NotHonoured>,
}

/// Counts.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Imported {
    pub(super) users: usize,
    pub(super) vhosts: usize,
    pub(super) permissions: usize,
    pub(super) topic_permissions: usize,
    pub(super) policies: usize,
    pub(super) exchanges: usize,
    pub(super) queues: usize,
    pub(super) bindings: usize,
}

/// Something in the file that Shunt can't do.
#[derive(Serialize, ToSchema)]
pub(super) struct NotHonoured {
    /// What it is, such as `policy` or `queue`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// The virtual host that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    /// What was not done, and why.
    pub(super) reason: String,
}
